"""Packets that nobody should send, laid on weir's interface from the kernel's side by scapy.

Reads lines "KIND COUNT" on stdin and answers each with a line of JSON once the packets are out; "kinds" lists what there
is. The argument is JSON: device, link (weir's link address), weir and kernel (IPv4), weir6 and kernel6, seed. The same
seed makes the same packets.
"""

import json
import logging
import random
import sys

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import (  # noqa: E402
    ARP,
    DNS,
    ICMP,
    IP,
    TCP,
    UDP,
    BOOTP,
    DHCP,
    Ether,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPOption,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Raw,
    conf,
    fuzz,
)

WHERE = json.loads(sys.argv[1])
ECHO_PORT = 7
WEB_PORT = 80
LONGEST_FRAME_BYTES = 1514


def ether(kind=None):
    frame = Ether(src="02:00:00:00:00:99", dst=WHERE["link"])
    if kind is not None:
        frame.type = kind
    return frame


def v4(**fields):
    fields = {"src": WHERE["kernel"], "dst": WHERE["weir"], **fields}
    return ether() / IP(id=random.randrange(65536), **fields)


def v6(**fields):
    fields = {"src": WHERE["kernel6"], "dst": WHERE["weir6"], **fields}
    return ether() / IPv6(**fields)


def tcp(**fields):
    fields = {"sport": random.randrange(1024, 65536), "dport": ECHO_PORT, "seq": random.randrange(2**32), **fields}
    return TCP(**{"flags": "S", **fields})


def udp(**fields):
    return UDP(**{"sport": random.randrange(1024, 65536), "dport": ECHO_PORT, **fields})


def some(most):
    return Raw(random.randbytes(random.randrange(1, most)))


def one_of(*makers):
    return random.choice(makers)()


def wrong(packet, layer, field, *values):
    """The packet with a field that scapy would have set to something else."""
    setattr(packet[layer], field, random.choice(values))
    return packet


def overlapping():
    """Two fragments of a datagram that say different things about the same bytes (RFC 5722)."""
    number = random.randrange(65536)
    first = v4(proto=17, flags="MF", frag=0)
    second = v4(proto=17, flags=0, frag=2)
    for packet in first, second:
        packet[IP].id = number
    return [first / Raw(bytes(32)), second / Raw(b"\1" * 32)]


def overlapping_v6():
    number = random.randrange(2**32)
    return [
        v6() / IPv6ExtHdrFragment(nh=17, id=number, offset=0, m=1) / Raw(bytes(32)),
        v6() / IPv6ExtHdrFragment(nh=17, id=number, offset=2, m=0) / Raw(b"\1" * 32),
    ]


def land():
    """From weir's own address and port to itself."""
    return one_of(
        lambda: v4(src=WHERE["weir"]) / tcp(sport=ECHO_PORT),
        lambda: v6(src=WHERE["weir6"]) / tcp(sport=ECHO_PORT),
    )


def fuzzed(*layers):
    """Layers with random values in all fields that nobody has set, cut to what a frame can hold."""
    frame = layers[0]
    for layer in layers[1:]:
        frame = frame / fuzz(layer)
    return bytes(frame)[:LONGEST_FRAME_BYTES]


def cut(frame):
    """A frame that ends somewhere."""
    whole = bytes(frame)
    return whole[: random.randrange(15, len(whole))]


def flipped(frame):
    """A good frame of which some bits behind the link header are wrong."""
    whole = bytearray(bytes(frame))
    for _ in range(random.randrange(1, 9)):
        at = random.randrange(14, len(whole))
        whole[at] ^= 1 << random.randrange(8)
    return bytes(whole)


GOOD = [
    lambda: v4() / tcp() / some(100),
    lambda: v4() / udp() / some(100),
    lambda: v4() / ICMP(id=7, seq=1) / some(100),
    lambda: v6() / tcp() / some(100),
    lambda: v6() / udp() / some(100),
    lambda: v6() / ICMPv6EchoRequest(id=7, seq=1) / some(100),
    lambda: v6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / udp() / some(100),
    lambda: v6(hlim=255) / ICMPv6ND_NS(tgt=WHERE["weir6"]) / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:99"),
    lambda: ether() / ARP(op=1, psrc="10.44.0.77", hwsrc="02:00:00:00:00:99", pdst=WHERE["weir"]),
]

def chain_of_headers():
    """More extension headers than anybody needs."""
    packet = v6()
    for _ in range(12):
        packet = packet / IPv6ExtHdrDestOpt()
    return packet / udp()


NEIGHBOR_MESSAGES = [
    lambda: ICMPv6ND_NS(type=135, code=0),
    lambda: ICMPv6ND_NA(type=136, code=0),
    lambda: ICMPv6ND_RA(type=134, code=0),
]

KINDS = {
    # Lengths.
    "ip-length": lambda: wrong(v4() / udp() / some(50), IP, "len", 0, 5, 19, 1400, 65535),
    "ip-header-length": lambda: wrong(v4() / udp() / some(50), IP, "ihl", 0, 1, 4),
    "ip-version": lambda: wrong(v4() / udp() / some(50), IP, "version", 0, 5, 6, 15),
    "ipv6-length": lambda: wrong(v6() / udp() / some(50), IPv6, "plen", 1400, 65535),
    "tcp-header-length": lambda: wrong(v4() / tcp(), TCP, "dataofs", 0, 1, 4, 6, 15),
    "udp-length": lambda: wrong(v4() / udp() / some(50), UDP, "len", 0, 1, 7, 1400, 65535),
    "icmp-length": lambda: v4(proto=1) / Raw(bytes(random.randrange(1, 8))),
    "arp-length": lambda: wrong(ether() / ARP(op=1, pdst=WHERE["weir"]), ARP, "hwlen", 0, 1, 255),
    # Checksums.
    "ip-checksum": lambda: wrong(v4() / udp() / some(50), IP, "chksum", 1, 2, 3),
    "tcp-checksum": lambda: wrong(random.choice([v4, v6])() / tcp() / some(50), TCP, "chksum", 1, 2, 3),
    "udp-checksum": lambda: wrong(random.choice([v4, v6])() / udp() / some(50), UDP, "chksum", 1, 2, 3),
    "icmp-checksum": lambda: wrong(v4() / ICMP() / some(50), ICMP, "chksum", 1, 2, 3),
    # Options and headers.
    "ip-option-zero-length": lambda: v4(options=IPOption(bytes([0x44, 0, 0, 0]))) / udp() / some(50),
    "ip-source-route": lambda: v4(options=IPOption(bytes([0x83, 7, 4, 10, 0, 0, 1, 0]))) / tcp(),
    "ipv6-too-many-headers": chain_of_headers,
    "ipv6-routing-header": lambda: v6() / IPv6ExtHdrRouting(type=0, addresses=[WHERE["kernel6"]]) / udp() / some(50),
    # Addresses.
    "land": land,
    "impossible-source": lambda: one_of(
        lambda: v4(src=random.choice(["127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0"])) / udp() / some(50),
        lambda: v6(src=random.choice(["ff02::1", "::1"])) / udp() / some(50),
    ),
    # Fragments.
    "fragments-overlap": overlapping,
    "fragments-overlap-ipv6": overlapping_v6,
    "fragment-too-far": lambda: v4(proto=17, flags=0, frag=8190) / Raw(bytes(200)),
    "fragment-odd": lambda: v4(proto=17, flags="MF", frag=random.randrange(100)) / Raw(bytes(13)),
    # Neighbors: such messages do not come through a router (RFC 4861 section 7.1).
    "neighbor-routed": lambda: v6(hlim=64) / ICMPv6ND_NA(tgt=WHERE["weir6"], R=0, S=0, O=1),
    # Random, as a whole.
    "ethertype": lambda: ether(random.choice([0x0801, 0x1234, 0x88CC, 0x9000])) / some(100),
    "fuzz-ip": lambda: fuzzed(ether(), IP(version=4, dst=WHERE["weir"]), Raw(random.randbytes(50))),
    "fuzz-tcp": lambda: fuzzed(random.choice([v4, v6])(), TCP(dport=random.choice([ECHO_PORT, WEB_PORT])), Raw()),
    "fuzz-udp": lambda: fuzzed(random.choice([v4, v6])(), UDP(dport=ECHO_PORT), Raw()),
    "fuzz-icmp": lambda: fuzzed(v4(), ICMP(), Raw()),
    "fuzz-icmpv6": lambda: fuzzed(v6(), ICMPv6PacketTooBig(), Raw()),
    "fuzz-neighbor": lambda: fuzzed(v6(hlim=255), random.choice(NEIGHBOR_MESSAGES)()),
    "fuzz-arp": lambda: fuzzed(ether(), ARP(hwtype=1, ptype=0x0800, hwlen=6, plen=4)),
    "fuzz-dns": lambda: fuzzed(v4(), UDP(sport=53), DNS()),
    "fuzz-dhcp": lambda: fuzzed(v4(), UDP(sport=67, dport=68), BOOTP(), DHCP()),
    "cut": lambda: cut(random.choice(GOOD)()),
    "bits": lambda: flipped(random.choice(GOOD)()),
    "noise": lambda: bytes(ether(random.choice([0x0800, 0x86DD, 0x0806]))) + random.randbytes(random.randrange(1, 200)),
}


def main():
    socket = conf.L2socket(iface=WHERE["device"])
    for line in sys.stdin:
        words = line.split()
        if words == ["kinds"]:
            print(json.dumps(list(KINDS)), flush=True)
            continue
        kind, count = words[0], int(words[1])
        random.seed(f"{WHERE['seed']} {kind}")
        sent = 0
        while sent < count:
            made = KINDS[kind]()
            for frame in made if isinstance(made, list) else [made]:
                socket.send(Raw(bytes(frame)))
                sent += 1
        print(json.dumps({"kind": kind, "sent": sent}), flush=True)


main()
