/** Networks behind the kernel's side of a host's TAP: routers, what lies behind them, and clients that share an address. */
import { join } from "node:path";
import { CLONE } from "./clone.js";
import type { TestNamespace } from "./host.js";
import type { PeerParameters } from "./peers.js";
import type { Result } from "./processes.js";

const PEER_TIMEOUT_MS = 150_000;
const KERNEL_PEER = join(CLONE, "test", "support", "kernel-peer.js");

/** Routers tell every time: a test would otherwise wait for the next time that they may. */
const NO_ICMP_RATE_LIMITS = "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0";
const FORWARD = "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";

/** A network namespace beside a host's own. */
export class Network {
  readonly #namespace: TestNamespace;
  /** Of a process that holds it, as seen inside the host's namespaces. */
  readonly pid: string;

  private constructor(namespace: TestNamespace, pid: string) {
    this.#namespace = namespace;
    this.pid = pid;
  }

  /** A new one, with nothing but lo in it. It ends with the host's namespaces. */
  static async create(namespace: TestNamespace): Promise<Network> {
    const script = `
      unshare --net sleep infinity > /dev/null 2>&1 &
      holder=$!
      until [ "$(readlink /proc/$holder/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
      nsenter --net=/proc/$holder/ns/net sh -c 'ip link set lo up; ${NO_ICMP_RATE_LIMITS}'
      echo $holder`;
    return new Network(namespace, (await namespace.mustExecute(["sh", "-e", "-c", script])).trim());
  }

  /** The command line that runs `command` in it, for the host's namespaces. */
  enter(command: readonly string[]): string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`, ...command];
  }

  async execute(command: readonly string[]): Promise<Result> {
    return await this.#namespace.execute(this.enter(command), { timeoutMs: PEER_TIMEOUT_MS });
  }

  /** Runs a shell script that must end well; returns its stdout. */
  async script(text: string): Promise<string> {
    return await this.#namespace.mustExecute(this.enter(["sh", "-e", "-c", text]), { timeoutMs: PEER_TIMEOUT_MS });
  }

  /** Runs a role of kernel-peer.js in it. */
  async peer<Found>(role: string, parameters: PeerParameters): Promise<Found> {
    const command = this.enter([process.execPath, KERNEL_PEER, role, JSON.stringify(parameters)]);
    return JSON.parse(await this.#namespace.mustExecute(command, { timeoutMs: PEER_TIMEOUT_MS })) as Found;
  }
}

/** A far network, two routers away from weir: the host's kernel, then `middle`. */
export interface Path {
  readonly middle: Network;
  readonly far: Network;
  /** The routers as `far` sees them, nearest first. */
  readonly routers: readonly string[];
  readonly routersV6: readonly string[];
}

/**
 * Makes a path: TAP, the host's kernel, a link of `mtuBytes`, another router, a link of 1500 bytes, `far`. `number`
 * (0 to 9) tells the addresses of several paths apart.
 */
export async function makePath(namespace: TestNamespace, number: number, mtuBytes: number): Promise<Path> {
  const [middle, far] = [await Network.create(namespace), await Network.create(namespace)];
  const near = `near${number}`;
  const [transit, behind] = [`10.5${number}.0`, `10.6${number}.0`];
  const [transit6, behind6] = [`fd5${number}:`, `fd6${number}:`];
  await namespace.mustExecute([
    ...["sh", "-e", "-c"],
    `${FORWARD}; ${NO_ICMP_RATE_LIMITS}
    ip link add ${near} mtu ${mtuBytes} type veth peer name near mtu ${mtuBytes} netns ${middle.pid}
    ip address add ${transit}.1/24 dev ${near}; ip address add ${transit6}:1/64 dev ${near} nodad
    ip link set ${near} up
    ip route add ${behind}.0/24 via ${transit}.2; ip -6 route add ${behind6}:/64 via ${transit6}:2`,
  ]);
  await middle.script(`${FORWARD}
    ip address add ${transit}.2/24 dev near; ip address add ${transit6}:2/64 dev near nodad; ip link set near up
    ip route add default via ${transit}.1; ip -6 route add default via ${transit6}:1
    ip link add behind type veth peer name far netns ${far.pid}
    ip address add ${behind}.1/24 dev behind; ip address add ${behind6}:1/64 dev behind nodad; ip link set behind up`);
  await far.script(`
    ip address add ${behind}.9/24 dev far; ip address add ${behind6}:9/64 dev far nodad; ip link set far up
    ip route add default via ${behind}.1; ip -6 route add default via ${behind6}:1`);
  return {
    middle,
    far,
    routers: [`${behind}.1`, `${transit}.1`],
    routersV6: [`${behind6}:1`, `${transit6}:1`],
  };
}

/** Clients that all have the same address for weir: the router before them masquerades. */
export interface Nat {
  readonly router: Network;
  readonly clients: readonly Network[];
}

/**
 * Makes `count` clients (1 to 9; it tells several of these apart) behind a router that has the ports `ports` (like
 * "50000-50023") for all of them.
 */
export async function makeNat(namespace: TestNamespace, count: number, ports: string): Promise<Nat> {
  const router = await Network.create(namespace);
  await namespace.mustExecute([
    ...["sh", "-e", "-c"],
    `${FORWARD}
    ip link add nat${count} type veth peer name near netns ${router.pid}
    ip address add 10.7${count}.0.1/24 dev nat${count}; ip link set nat${count} up`,
  ]);
  await router.script(`${FORWARD}
    ip address add 10.7${count}.0.2/24 dev near; ip link set near up; ip route add default via 10.7${count}.0.1
    nft -f - << END
    table ip nat {
      chain leaving {
        type nat hook postrouting priority 100
        oifname "near" ip protocol tcp masquerade to :${ports}
      }
    }
END
    sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_time_wait=1 net.netfilter.nf_conntrack_tcp_timeout_close=1`);
  const clients: Network[] = [];
  for (let number = 0; number < count; number++) {
    const client = await Network.create(namespace);
    const network = `192.168.${number}`;
    await router.script(`
      ip link add client${number} type veth peer name inside netns ${client.pid}
      ip address add ${network}.1/24 dev client${number}; ip link set client${number} up`);
    await client.script(`
      ip address add ${network}.2/24 dev inside; ip link set inside up; ip route add default via ${network}.1`);
    clients.push(client);
  }
  return { router, clients };
}
