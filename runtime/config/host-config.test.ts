import { describe, expect, it } from "vitest";
import { defaultHostConfig, parseHostConfig } from "./host-config.js";
import { ConfigError, formatProblem } from "./problem.js";

function mistakes(text: string): string[] {
  try {
    parseHostConfig(text);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(formatProblem);
    throw error;
  }
  return [];
}

describe("host.toml", () => {
  it("has its defaults", () => {
    expect(parseHostConfig("")).toEqual(defaultHostConfig());
    expect(defaultHostConfig()).toEqual({
      state: "/var/lib/weir",
      api: { socket: "/run/weir/api.sock" },
      workers: { cores: [], batch: 64, spin_us: 50, connections: 16_384 },
      port: [
        {
          name: "lan",
          driver: "tap",
          device: "weir0",
          addresses: ["10.44.0.2/24"],
          gateways: [],
          routes: [],
          name_servers: [],
          dhcp: false,
          accept_ra: false,
          detect_conflicts: false,
          offload: true,
        },
      ],
      tcp: {
        congestion_control: "cubic",
        ecn: false,
        keep_alive_s: 7_200,
        user_timeout_s: 0,
        time_wait_s: 60,
        syn_cookies: true,
        hop_limit: 64,
      },
      ceilings: { memory_mib: 64, connections: 10_000, poll_us: 100_000 },
      tenant: [],
    });
  });

  it("is read with everything that is possible now", () => {
    const config = parseHostConfig(`
state = "/srv/weir"
[api]
socket = "/srv/weir/api.sock"
[workers]
cores = [2]
batch = 32
spin_us = 0
[[port]]
name = "lan"
driver = "tap"
device = "tap3"
addresses = ["192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"]
gateways = ["192.0.2.1", "fe80::1"]
routes = [{ to = "10.9.0.0/16", via = "192.0.2.7" }, { to = "2001:db8:9::/48", via = "2001:db8::7" }]
vlan = 7
accept_ra = true
detect_conflicts = true
kernel_address = "192.0.2.2/24"
kernel_address_v6 = "2001:db8::2/64"
[ceilings]
memory_mib = 128
[[tenant]]
name = "acme"
listen = ["lan tcp 7000-7099", "lan http 80", "lan udp 53"]
ceilings.memory_mib = 256
`);
    expect(config.tenant).toEqual([
      {
        name: "acme",
        listen: ["lan tcp 7000-7099", "lan http 80", "lan udp 53"],
        ceilings: { memory_mib: 256 },
      },
    ]);
    expect(config.workers.cores).toEqual([2]);
  });

  const TABLE: [name: string, text: string, expected: string[]][] = [
    [
      "paths and keys",
      'state = "var"\n[api]\nsockt = "/x"\n[workers]\nbatch = 0',
      [
        'host.toml:1:9: "state" must be an absolute path',
        'host.toml:3:1: unknown key "sockt" (did you mean "socket"?)',
        'host.toml:5:9: "batch" must be at least 1, not 0',
      ],
    ],
    [
      "what comes later",
      '[workers]\ncores = [2, 2]\ncount = 3\n[[port]]\ndriver = "ring"\naddresses = ["10.0.0.2/8"]\n[[port]]\n[ceilings]\ncpu_percent = 5\n[[tenant]]\nname = "acme"\nlisten = ["lan http *.acme.example"]\nceilings.tx_mbit_s = 5',
      [
        "host.toml:2:13: core 2 is there twice",
        "host.toml:3:9: 3 workers do not fit 2 cores (leave count out, or cores)",
        'host.toml:5:10: "driver" = "ring" is not there yet (there are tap, memif, af_xdp, af_packet and pci)',
        "host.toml:7:3: several ports are not there yet (keep one)",
        'host.toml:9:1: "cpu_percent" is not there yet (ceilings.poll_us bounds the time of one call)',
        'host.toml:12:11: the host name in "lan http *.acme.example" is not there yet (grant the whole port: "lan http 80")',
        'host.toml:13:10: "tx_mbit_s" is not there yet (remove the line)',
      ],
    ],
    [
      "the port",
      '[[port]]\ndriver = "tab"\ndevice = "a/b"\naddresses = ["10.44.0.2/24"]\ngateways = ["10.45.0.1"]\nkernel_address = "10.44.0.2/24"',
      [
        'host.toml:2:10: "driver" cannot be "tab" (did you mean "tap"?)',
        'host.toml:3:10: "device" must be 1 to 15 characters without spaces, "/" and ":"',
        "host.toml:5:13: the gateway 10.45.0.1 is not in the network of 10.44.0.2/24",
        'host.toml:6:18: "kernel_address" is weir\'s own address',
      ],
    ],
    [
      "the device of a driver",
      '[[port]]\ndriver = "memif"\ndevice = "memif.sock"\nkernel_address = "10.44.0.1/24"',
      [
        'host.toml:3:10: "device" must be the absolute path of a socket, of at most 107 characters without a comma',
        'host.toml:4:18: "kernel_address" is for the kernel\'s side of a TAP',
      ],
    ],
    [
      "addresses",
      '[[port]]\naddresses = ["10.44.0.255/24"]',
      ['host.toml:2:14: no host can have the address "10.44.0.255/24"'],
    ],
    [
      "no address",
      "[[port]]\naddresses = []",
      ["host.toml:2:13: at least one address is needed (or dhcp = true, or accept_ra = true)"],
    ],
    [
      "addresses of both families",
      '[[port]]\naddresses = ["10.44.0.2/24", "fd44::2/64", "fd44:0::2/64", "ff02::1/64", "fd44::2"]\ngateways = ["10.44.0.1", "10.44.0.3", "fd45::1", "fe80::1"]\nroutes = [{ to = "fd46::/64", via = "10.44.0.1" }, { to = "x", via = "y" }]\nkernel_address_v6 = "fd44::2/64"\nvlan = 4094',
      [
        "host.toml:2:44: the address fd44:0::2 is there twice",
        'host.toml:2:60: no host can have the address "ff02::1/64"',
        'host.toml:2:74: "fd44::2" is not an address with its prefix (write it like "10.44.0.2/24" or "fd44::2/64")',
        "host.toml:3:26: there is a gateway of this address family before (add [[port.routes]] for other networks)",
        "host.toml:3:39: the gateway fd45::1 is not in the network of fd44::2/64, fd44:0::2/64, ff02::1/64",
        "host.toml:3:50: there is a gateway of this address family before (add [[port.routes]] for other networks)",
        "host.toml:4:37: the neighbor 10.44.0.1 is of the other address family",
        'host.toml:4:59: "x" is not a network (write it like "10.9.0.0/16")',
        'host.toml:4:70: "y" is not an IP address',
        'host.toml:5:21: "kernel_address_v6" is weir\'s own address',
      ],
    ],
    ["a learned address", "[[port]]\naddresses = []\ndhcp = true\ngateways = ['10.0.0.1']", []],
    [
      "tenants",
      '[[tenant]]\nname = "acme"\nlisten = ["wan udp 53", "lan icmp 3", "lan tcp 9-3", "lan"]\n[[tenant]]\nname = "acme"',
      [
        'host.toml:3:11: there is no [[port]] with the name "wan" (possible: lan)',
        'host.toml:3:25: "icmp" is not one of http, tcp and udp (write it like "lan tcp 7000-7099")',
        'host.toml:3:39: "9-3" is not a port or a range of ports (write it like "lan tcp 7000-7099")',
        'host.toml:3:54: "lan" is not a port name, a protocol and ports (write it like "lan tcp 7000-7099")',
        'host.toml:5:8: a [[tenant]] before has the name "acme" too',
      ],
    ],
  ];

  it.each(TABLE)("says everything about %s", (_, text, expected) => {
    expect(mistakes(text)).toEqual(expected);
  });

  it("says it plainly when tables stand where texts should be", () => {
    const keys = ["addresses", "gateways", "name_servers"];
    expect(mistakes(`[[port]]\n${keys.map((key) => `${key} = [{}]\n`).join("")}kernel_address = {}\n`)).toEqual([
      'host.toml:2:14: "addresses" must be a string, not a table',
      'host.toml:3:13: "gateways" must be a string, not a table',
      'host.toml:4:17: "name_servers" must be a string, not a table',
      'host.toml:5:18: "kernel_address" must be a string, not a table',
    ]);
    expect(mistakes('[[port]]\nname = {}\n[[tenant]]\nlisten = [{}, "lan tcp 80"]\n[[tenant]]\n')).not.toEqual([]);
  });
});
