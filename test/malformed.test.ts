/** Packets that nobody should send: each is dropped for a reason that is counted, and everything is served as before. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { CLONE, example } from "./support/clone.js";
import { expectNothingHeld, expectServed } from "./support/health.js";
import { DEVICE, KERNEL_ADDRESS, KERNEL_ADDRESS_V6, TestHost, WEIR_ADDRESS, WEIR_ADDRESS_V6 } from "./support/host.js";
import { PYTHON, until } from "./support/processes.js";
import { shared } from "./support/scope.js";
import { statsOf } from "./support/stats.js";

const SEED = 20_260_101;
const EACH = 100;
const RANDOM_EACH = 400;

/** Packets of which every one is wrong in the same way, and the counter of it. */
const REASONS: Readonly<Record<string, string>> = {
  "ip-length": "drop_ip_malformed",
  "ip-header-length": "drop_ip_malformed",
  "ip-version": "drop_ip_malformed",
  "ipv6-length": "drop_ip_malformed",
  "tcp-header-length": "drop_tcp_malformed",
  "udp-length": "drop_udp_malformed",
  "icmp-length": "drop_icmp_malformed",
  "arp-length": "drop_arp_malformed",
  "ip-checksum": "drop_ip_checksum",
  "tcp-checksum": "drop_tcp_checksum",
  "udp-checksum": "drop_udp_checksum",
  "icmp-checksum": "drop_icmp_checksum",
  "ip-option-zero-length": "drop_ip_options",
  "ip-source-route": "drop_ip_options",
  "ipv6-too-many-headers": "drop_ip_extension",
  "ipv6-routing-header": "drop_ip_extension",
  land: "drop_ip_source",
  "impossible-source": "drop_ip_source",
  "fragments-overlap": "drop_fragment_overlap",
  "fragments-overlap-ipv6": "drop_fragment_overlap",
  "fragment-too-far": "drop_fragment_malformed",
  "fragment-odd": "drop_fragment_malformed",
  "neighbor-routed": "drop_nd_malformed",
  ethertype: "drop_link_unknown_type",
};

const running = shared(async () => {
  const host = await TestHost.start({ port: `gateways = ["${KERNEL_ADDRESS}", "${KERNEL_ADDRESS_V6}"]` });
  for (const app of ["echo", "udp-echo", "hello"]) await host.deploy(example(app));
  await host.waitForPort(7);
  await host.waitForPort(7, undefined, WEIR_ADDRESS_V6);
  const neighbor = await host.namespace.mustExecute(["ip", "neigh", "show", WEIR_ADDRESS, "dev", DEVICE]);
  const where = {
    device: DEVICE,
    link: /lladdr (\S+)/.exec(neighbor)?.[1] ?? "",
    ...{ weir: WEIR_ADDRESS, kernel: KERNEL_ADDRESS, weir6: WEIR_ADDRESS_V6, kernel6: KERNEL_ADDRESS_V6 },
    seed: SEED,
  };
  const script = join(CLONE, "test", "support", "malformed.py");
  const sender = host.namespace.start([PYTHON, script, JSON.stringify(where)]);
  const ask = async <Answer>(line: string): Promise<Answer> => {
    const before = sender.stdout.length;
    sender.child.stdin?.write(`${line}\n`);
    const text = await until(`an answer to ${line}`, () => {
      if (sender.hasEnded) throw new Error(`the sender ended: ${sender.stderr}`);
      const more = sender.stdout.slice(before);
      return more.endsWith("\n") ? more : undefined;
    });
    return JSON.parse(text) as Answer;
  };
  return { host, ask };
});

test.each(Object.entries(REASONS))("%s is %s", async (kind, counter) => {
  const { host, ask } = running();
  const drops = async () => (await statsOf(host)).drops[counter] ?? Number.NaN;
  const before = await drops();
  const { sent } = await ask<{ sent: number }>(`${kind} ${EACH}`);
  expect(sent).toBe(EACH);
  await until(`${EACH} more ${counter}`, async () => (await drops()) >= before + EACH);
  expect((await drops()) - before).toBe(EACH);
});

test("what is random is survived", { timeout: 300_000 }, async () => {
  const { host, ask } = running();
  const kinds = (await ask<string[]>("kinds")).filter((kind) => !(kind in REASONS));
  expect(kinds.length).toBeGreaterThan(10);
  const before = await statsOf(host);
  let all = 0;
  for (const kind of kinds) {
    const { sent } = await ask<{ sent: number }>(`${kind} ${RANDOM_EACH}`);
    all += sent;
  }
  expect(all).toBe(kinds.length * RANDOM_EACH);
  const received = async () => (await statsOf(host)).counter("rx_frames") - before.counter("rx_frames");
  await until("all frames", async () => (await received()) >= all);
  // Most of it is nothing that anybody could use.
  expect((await statsOf(host)).dropsTotal - before.dropsTotal).toBeGreaterThan(all / 2);
});

test("everything is served afterwards, and nothing is held", async () => {
  const { host } = running();
  await expectServed(host);
  await expectNothingHeld(host);
});
