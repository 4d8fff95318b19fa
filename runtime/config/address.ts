/** IPv4 addresses as people write them. */

/** The address as a number, or undefined when it is not four decimal parts without leading zeros. */
export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith("0"))) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

/** An address with the length of its network's prefix. */
export interface Ipv4Network {
  readonly text: string;
  readonly address: number;
  readonly prefixBits: number;
}

/** Parses "10.44.0.2/24". */
export function parseIpv4Network(text: string): Ipv4Network | undefined {
  const [addressText, prefixText, more] = text.split("/");
  const address = parseIpv4(addressText ?? "");
  if (address === undefined || more !== undefined || !/^(?:[1-9]|[12]\d|3[0-2])$/.test(prefixText ?? "")) {
    return undefined;
  }
  return { text: addressText!, address, prefixBits: Number(prefixText) };
}

/** Whether `address` lies in the network of `network`. */
export function inNetwork(address: number, network: Ipv4Network): boolean {
  const size = 2 ** (32 - network.prefixBits);
  return Math.floor(address / size) === Math.floor(network.address / size);
}

/** Whether a host can have this address: not the network's own, not its broadcast, not multicast, loopback or 0.x. */
export function isHostAddress(network: Ipv4Network): boolean {
  const first = Math.floor(network.address / 2 ** 24);
  if (first === 0 || first === 127 || first >= 224) return false;
  if (network.prefixBits >= 31) return true;
  const size = 2 ** (32 - network.prefixBits);
  return network.address % size !== 0 && network.address % size !== size - 1;
}

/** An address and port: "10.0.0.2:9000". */
export interface Ipv4Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Parses "10.0.0.2:9000"; undefined when it is something else. */
export function parseIpv4Endpoint(text: string): Ipv4Endpoint | undefined {
  const match = /^([^:]+):([1-9]\d{0,4})$/.exec(text);
  if (match === null || parseIpv4(match[1]!) === undefined || Number(match[2]) > 65535) return undefined;
  return { address: match[1]!, port: Number(match[2]) };
}
