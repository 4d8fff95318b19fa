"""SYNs whose TCP header comes in three IP fragments, and what comes back. Arguments: device, from which address, to which
address, to which port, how many. Prints {"answered": N, "reset": N} as JSON."""

import json
import logging
import sys
import time

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import IP, TCP, AsyncSniffer, Ether, fragment, getmacbyip, get_if_hwaddr, sendp  # noqa: E402

device, source, destination, port, count = sys.argv[1:4] + [int(word) for word in sys.argv[4:6]]
FIRST_PORT = 20_000
link = Ether(src=get_if_hwaddr(device), dst=getmacbyip(destination))
answers = f"tcp and src host {destination} and dst host {source}"
sniffer = AsyncSniffer(iface=device, filter=answers)
sniffer.start()
frames = []
for sent in range(count):
    segment = IP(src=source, dst=destination, id=sent) / TCP(sport=FIRST_PORT + sent, dport=port, flags="S", seq=1000)
    frames += [link / part for part in fragment(segment, fragsize=8)]
time.sleep(0.5)
sendp(frames, iface=device, verbose=False)
time.sleep(1.5)
flags = {}
for frame in sniffer.stop():
    flags.setdefault(frame[TCP].dport, str(frame[TCP].flags))
print(json.dumps({"answered": list(flags.values()).count("SA"), "reset": sum("R" in each for each in flags.values())}))
