import { bind } from "@weir/guest/udp";

bind("main", datagram => { datagram.reply(datagram); });
