/** Bandwidth from round trips of messages of several sizes: [{bytes, us}], smallest first. */

/**
 * The size at which a message reaches half of the greatest bandwidth among them, between two sizes as a line between their
 * logarithms has it; undefined of fewer than two.
 */
export function halfBandwidthBytes(trips) {
  if (trips.length < 2) return undefined;
  const rates = trips.map(({ bytes, us }) => bytes / us);
  const half = Math.max(...rates) / 2;
  const at = rates.findIndex((rate) => rate >= half);
  if (at === 0) return trips[0].bytes;
  const share = Math.log(half / rates[at - 1]) / Math.log(rates[at] / rates[at - 1]);
  return trips[at - 1].bytes * (trips[at].bytes / trips[at - 1].bytes) ** share;
}
