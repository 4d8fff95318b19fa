/** A tenant's right to listen: "lan tcp 7000-7099", "lan http 80", "lan udp 53". */

/** One right: these ports of one protocol on one network port. */
export interface Grant {
  readonly port: string;
  readonly protocol: "http" | "tcp" | "udp";
  readonly first: number;
  readonly last: number;
}

/** Parses a grant; a string says what is wrong with it ("message" or "message\nhint"). */
export function parseGrant(text: string): Grant | string {
  const example = 'write it like "lan tcp 7000-7099"';
  const parts = text.trim().split(/\s+/);
  if (parts.length !== 3) return `"${text}" is not a port name, a protocol and ports\n${example}`;
  const [port, protocol, range] = parts as [string, string, string];
  if (protocol !== "http" && protocol !== "tcp" && protocol !== "udp") {
    return `"${protocol}" is not one of http, tcp and udp\n${example}`;
  }
  if (/[a-zA-Z*]/.test(range)) {
    return `the host name in "${text}" is not there yet\ngrant the whole port: "${port} ${protocol} 80"`;
  }
  const match = /^([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/.exec(range);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first > 65535 || last > 65535 || first > last) {
    return `"${range}" is not a port or a range of ports\n${example}`;
  }
  return { port, protocol, first, last };
}

/** Whether `grant` allows to listen there. */
export function allows(grant: Grant, port: string, protocol: Grant["protocol"], number: number): boolean {
  return grant.port === port && grant.protocol === protocol && grant.first <= number && number <= grant.last;
}
