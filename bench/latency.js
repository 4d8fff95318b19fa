/** What the load generator counts: pairs of a time in nanoseconds and how many messages took it, in order. */

/** The time that a share of the messages did not exceed, microseconds. */
export function percentileUs(counts, share) {
  const all = counts.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [ns, count] of counts) {
    seen += count;
    if (seen >= share * all) return ns / 1_000;
  }
  return Number.NaN;
}
