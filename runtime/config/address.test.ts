import { expect, it } from "vitest";
import {
  beforePort,
  inNetwork,
  isHostAddress,
  isLinkLocal,
  parseAddress,
  parseEndpoint,
  parseNamedEndpoint,
  parseNetwork,
} from "./address.js";

it("takes four decimal parts and nothing else for IPv4", () => {
  expect(parseAddress("10.44.0.2")).toEqual({ family: 4, value: 0x0a2c0002n });
  expect(parseAddress("255.255.255.255")?.value).toBe(0xffffffffn);
  for (const text of ["10.44.0", "10.44.0.256", "010.44.0.2", "10.44.0.2 ", ""]) {
    expect(parseAddress(text)).toBeUndefined();
  }
});

it("takes IPv6 as RFC 4291 writes it", () => {
  expect(parseAddress("::")).toEqual({ family: 6, value: 0n });
  expect(parseAddress("::1")?.value).toBe(1n);
  expect(parseAddress("fd44::2")?.value).toBe((0xfd44n << 112n) + 2n);
  expect(parseAddress("1:2:3:4:5:6:7:8")?.value).toBe(0x00010002000300040005000600070008n);
  expect(parseAddress("64:ff9b::10.0.0.1")?.value).toBe((0x64ff9bn << 96n) + 0x0a000001n);
  for (const text of ["fd44:::2", "fd44::2%weir0", "1:2:3", "g::", "::10.0.0.256"]) {
    expect(parseAddress(text)).toBeUndefined();
  }
});

it("knows which addresses a host can have", () => {
  const can = (text: string): boolean => isHostAddress(parseNetwork(text)!);
  expect(["10.44.0.2/24", "10.0.0.0/31", "192.0.2.1/32", "fd44::2/64", "fe80::1/64"].every(can)).toBe(true);
  expect(["10.44.0.0/24", "10.44.0.255/24", "127.0.0.1/8", "224.0.0.1/4", "0.0.0.1/8"].some(can)).toBe(false);
  expect(["ff02::1/64", "::1/128", "::/64", "::ffff:10.0.0.1/128"].some(can)).toBe(false);
  for (const text of ["10.0.0.1/33", "10.0.0.1/0", "fd44::1/129", "fd44::1", "10.0.0.1/1/2"]) {
    expect(parseNetwork(text)).toBeUndefined();
  }
  expect(parseNetwork("::/0", true)?.prefixBits).toBe(0);
});

it("knows what lies in a network", () => {
  const network = parseNetwork("200.1.2.3/22")!;
  expect(inNetwork(parseAddress("200.1.3.255")!, network)).toBe(true);
  expect(inNetwork(parseAddress("200.1.4.0")!, network)).toBe(false);
  expect(inNetwork(parseAddress("fd44::9")!, parseNetwork("fd44::2/64")!)).toBe(true);
  expect(inNetwork(parseAddress("fd44:0:0:1::9")!, parseNetwork("fd44::2/64")!)).toBe(false);
  expect(inNetwork(parseAddress("::c801:3ff")!, network)).toBe(false);
  expect(["fe80::1", "febf::1"].every((text) => isLinkLocal(parseAddress(text)!))).toBe(true);
  expect(["fec0::1", "fd44::1"].some((text) => isLinkLocal(parseAddress(text)!))).toBe(false);
});

it("takes an address and a port", () => {
  expect(parseEndpoint("10.0.0.2:9000")).toEqual({ address: "10.0.0.2", port: 9000 });
  expect(parseEndpoint("[fd44::1]:9000")).toEqual({ address: "fd44::1", port: 9000 });
  for (const text of ["10.0.0.2", "10.0.0.2:0", "10.0.0.2:65536", "a:1", "10.0.0.2:1:2", "fd44::1:9", "[10.0.0.2]:9"]) {
    expect(parseEndpoint(text)).toBeUndefined();
  }
  expect([beforePort("10.0.0.2"), beforePort("fd44::2")]).toEqual(["10.0.0.2", "[fd44::2]"]);
});

it("takes names of hosts as RFC 1123 has them, with a port", () => {
  expect(parseNamedEndpoint("db.example:5432")).toEqual({ host: "db.example", port: 5432 });
  expect(parseNamedEndpoint("localhost:1")).toEqual({ host: "localhost", port: 1 });
  expect(parseNamedEndpoint("3com.example.:65535")?.host).toBe("3com.example.");
  expect(parseNamedEndpoint(`${"a".repeat(63)}.b:1`)).toBeDefined();
  for (const text of ["db.example", "db.example:0", "db.example:65536", ":80", ".:80", "a..b:80", "-a:80", "a-:80"]) {
    expect(parseNamedEndpoint(text), text).toBeUndefined();
  }
  for (const text of ["10.0.0.300:1", "10.0.0.2:9000", "a_b:80", "fd44::1:80", `${"a".repeat(64)}.b:1`, "a b:80"]) {
    expect(parseNamedEndpoint(text), text).toBeUndefined();
  }
  expect(parseNamedEndpoint(`${"a.".repeat(127)}:80`)).toBeUndefined();
});
