/** UDP handlers. */
import { listenIndex } from "./config";
import { Datagram, Packet, newPacket, setDatagramHandler } from "./datagram";

export { Bytes } from "./bytes";
export { Datagram, Packet } from "./datagram";

/** Calls `handler` for every datagram that comes to the [[listen]] entry `name`. */
export function bind(name: string, handler: (datagram: Datagram) => void): void {
  setDatagramHandler(listenIndex(name, "udp"), handler);
}

/** A packet to build, of at most `capacity` bytes. */
export function tx(capacity: i32): Packet { return newPacket(capacity); }
