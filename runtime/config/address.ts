/** IP addresses as people write them. */
import { isIPv6 } from "node:net";

/** An address of either family, as a number of 32 or 128 bits. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** An address with the length of its network's prefix. */
export interface IpNetwork extends IpAddress {
  readonly text: string;
  readonly prefixBits: number;
}

const WIDTH_BITS = { 4: 32, 6: 128 } as const;

function parseIpv4(text: string): bigint | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0n;
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith("0"))) return undefined;
    value = value * 256n + BigInt(part);
  }
  return value;
}

function parseIpv6(text: string): bigint | undefined {
  if (!isIPv6(text) || text.includes("%")) return undefined;
  // The last two groups may be written as an IPv4 address (RFC 4291 section 2.2).
  const [, front = "", tail = ""] = /^(.*:)([^:]*)$/.exec(text) ?? [];
  const last = parseIpv4(tail);
  const plain = last === undefined ? text : `${front}${(last >> 16n).toString(16)}:${(last & 0xffffn).toString(16)}`;
  const [left = "", right] = plain.split("::");
  const groupsOf = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const before = groupsOf(left);
  const after = groupsOf(right ?? "");
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].reduce((value, group) => value * 65_536n + BigInt(`0x${group}`), 0n);
}

/** The address; undefined when the text is none: four decimal parts without leading zeros, or as RFC 4291 writes them. */
export function parseAddress(text: string): IpAddress | undefined {
  const v4 = parseIpv4(text);
  if (v4 !== undefined) return { family: 4, value: v4 };
  const v6 = parseIpv6(text);
  return v6 === undefined ? undefined : { family: 6, value: v6 };
}

/** Parses "10.44.0.2/24" or "fd44::2/64"; with `all`, a prefix of length 0 too. */
export function parseNetwork(text: string, all = false): IpNetwork | undefined {
  const [addressText = "", prefixText = "", more] = text.split("/");
  const address = parseAddress(addressText);
  if (address === undefined || more !== undefined || !/^(?:0|[1-9]\d{0,2})$/.test(prefixText)) return undefined;
  const prefixBits = Number(prefixText);
  if (prefixBits > WIDTH_BITS[address.family] || (prefixBits === 0 && !all)) return undefined;
  return { ...address, text: addressText, prefixBits };
}

const hostBits = (network: IpNetwork): bigint => BigInt(WIDTH_BITS[network.family] - network.prefixBits);

/** Whether `address` lies in the network of `network`. */
export function inNetwork(address: IpAddress, network: IpNetwork): boolean {
  return address.family === network.family && address.value >> hostBits(network) === network.value >> hostBits(network);
}

/** fe80::/10. */
export function isLinkLocal(address: IpAddress): boolean {
  return address.family === 6 && address.value >> 118n === 0x3fan;
}

/** Whether a host can have this address: not its network's own, not broadcast, multicast, loopback, 0.x or ::ffff:0:0/96. */
export function isHostAddress(network: IpNetwork): boolean {
  const { family, value, prefixBits } = network;
  if (family === 6) {
    const isMulticast = value >> 120n === 0xffn;
    return !isMulticast && value > 1n && value >> 32n !== 0xffffn;
  }
  const first = Number(value >> 24n);
  if (first === 0 || first === 127 || first >= 224) return false;
  if (prefixBits >= 31) return true;
  const size = 1n << hostBits(network);
  return value % size !== 0n && value % size !== size - 1n;
}

/** An address and port: "10.0.0.2:9000", "[fd44::1]:9000". */
export interface IpEndpoint {
  readonly address: string;
  readonly port: number;
}

/** Parses "10.0.0.2:9000" or "[fd44::1]:9000"; undefined when it is something else. */
export function parseEndpoint(text: string): IpEndpoint | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([1-9]\d{0,4})$/.exec(text);
  if (match === null || Number(match[3]) > 65535) return undefined;
  const [, v6, v4] = match;
  const address = parseAddress(v6 ?? v4 ?? "");
  if (address?.family !== (v6 === undefined ? 4 : 6)) return undefined;
  return { address: v6 ?? v4!, port: Number(match[3]) };
}

/** The name of a host and a port: "db.example:5432". */
export interface NamedEndpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Parses "db.example:5432"; undefined when it is something else. A name has labels of letters, digits and hyphens (RFC 1123
 * section 2.1), and its last one is not all digits: that would be an address that went wrong.
 */
export function parseNamedEndpoint(text: string): NamedEndpoint | undefined {
  const match = /^([A-Za-z0-9.-]+):([1-9]\d{0,4})$/.exec(text);
  if (match === null || Number(match[2]) > 65535) return undefined;
  const host = match[1]!;
  const labels = host.replace(/\.$/, "").split(".");
  const areNames = labels.every((label) => /^(?!-)[A-Za-z0-9-]{1,63}(?<!-)$/.test(label));
  if (!areNames || host.length > 253 || /^\d+$/.test(labels.at(-1)!)) return undefined;
  return { host, port: Number(match[2]) };
}

/** An address as it stands before a port: IPv6 in brackets. */
export function beforePort(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
