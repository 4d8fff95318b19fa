/** The Debian packages that weir uses, how each is recognised, and what it is for. */

const TRIPLES = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };
/** As clang names its runtime libraries. */
const runtimes = { x64: "x86_64", arm64: "aarch64" };
const triple = TRIPLES[process.arch] ?? `${process.arch}-linux-gnu`;

/**
 * Each package is there when one of its programs is on PATH, or when all of its files exist. `uses` names the commands
 * that need it: start covers all others too.
 */
export const PACKAGES = [
  { name: "g++", programs: ["g++"], uses: "start", purpose: "compiles native/" },
  { name: "cmake", programs: ["cmake"], uses: "start", purpose: "configures native/ and the engine's headers" },
  { name: "make", programs: ["make"], uses: "start", purpose: "builds the engine's headers" },
  { name: "ninja-build", programs: ["ninja"], uses: "start", purpose: "builds native/" },
  { name: "pkg-config", programs: ["pkg-config"], uses: "start", purpose: "finds DPDK" },
  {
    name: "libdpdk-dev",
    files: [`/usr/lib/${triple}/pkgconfig/libdpdk.pc`, `/usr/lib/${triple}/librte_eal.a`],
    uses: "start",
    purpose: "packet buffers, rings and drivers",
  },
  {
    name: "libxdp-dev",
    files: ["/usr/include/xdp/xsk.h", `/usr/lib/${triple}/libxdp.so`],
    uses: "start",
    purpose: "AF_XDP ports",
  },
  {
    name: "libbpf-dev",
    files: ["/usr/include/bpf/bpf.h", `/usr/lib/${triple}/libbpf.so`],
    uses: "start",
    purpose: "the program of AF_XDP ports",
  },
  { name: "libnuma-dev", files: ["/usr/include/numa.h"], uses: "start", purpose: "DPDK needs it" },
  { name: "util-linux", programs: ["unshare"], uses: "start", purpose: "namespaces for the playground" },
  { name: "iproute2", programs: ["ip"], uses: "start", purpose: "sets the playground's network up" },
  { name: "iputils-ping", programs: ["ping"], uses: "start", purpose: "a client to try and to check with" },
  { name: "netcat-openbsd", programs: ["nc"], uses: "start", purpose: "a client to try" },
  { name: "curl", programs: ["curl"], uses: "start", purpose: "a client to try and to test with" },
  { name: "tcpdump", programs: ["tcpdump"], uses: "start", purpose: "shows the packets in the playground" },
  { name: "libgtest-dev", files: ["/usr/include/gtest/gtest.h"], uses: "test", purpose: "native tests" },
  { name: "clang-format-14", programs: ["clang-format-14"], uses: "test", purpose: "checks the format of C++" },
  { name: "nftables", programs: ["nft"], uses: "test", purpose: "loses packets on purpose" },
  { name: "dnsmasq-base", programs: ["dnsmasq"], uses: "test", purpose: "a DHCP server and a router to learn from" },
  { name: "wrk", programs: ["wrk"], uses: "test", purpose: "HTTP load" },
  { name: "apache2-utils", programs: ["ab"], uses: "test", purpose: "HTTP load of another kind" },
  {
    name: "memcached",
    programs: ["memcached"],
    uses: "test",
    purpose: "the server that examples/memcached is compared with",
  },
  {
    name: "libmemcached-tools",
    programs: ["memccapable"],
    uses: "test",
    purpose: "memcached clients: conformance and load",
  },
  { name: "nmap", programs: ["nmap"], uses: "test", purpose: "scans ports, services and systems" },
  {
    name: "python3-scapy",
    files: ["/usr/bin/python3", "/usr/lib/python3/dist-packages/scapy/__init__.py"],
    uses: "test",
    purpose: "sends malformed packets",
  },
  { name: "radvd", programs: ["radvd"], uses: "test", purpose: "a router that advertises prefixes" },
  { name: "traceroute", programs: ["traceroute"], uses: "test", purpose: "finds the routers of a path" },
  { name: "clang-14", programs: ["clang++-14"], uses: "fuzz", purpose: "compiles the fuzz targets" },
  {
    name: "libclang-rt-14-dev",
    files: [
      `/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-${runtimes[process.arch] ?? process.arch}.a`,
    ],
    uses: "fuzz",
    purpose: "libFuzzer and the sanitizers for clang",
  },
  { name: "valgrind", programs: ["valgrind"], uses: "test", purpose: "counts instructions" },
  {
    name: "liburing-dev",
    files: ["/usr/include/liburing.h", `/usr/lib/${triple}/liburing.so`],
    uses: "bench",
    purpose: "an echo server with io_uring to compare with",
  },
];

const COMMANDS = {
  start: ["start"],
  test: ["start", "test"],
  bench: ["start", "test", "bench"],
  sim: ["start"],
  script: ["start"],
  link: ["start"],
  fuzz: ["start", "fuzz"],
};

/** The packages that an npm command needs. */
export function packagesFor(command) {
  const uses = COMMANDS[command];
  return PACKAGES.filter((each) => uses.includes(each.uses));
}
