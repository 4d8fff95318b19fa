import { expect, it } from "vitest";
import { inNetwork, isHostAddress, parseIpv4, parseIpv4Endpoint, parseIpv4Network } from "./address.js";

it("takes four decimal parts and nothing else", () => {
  expect(parseIpv4("10.44.0.2")).toBe(0x0a2c0002);
  expect(parseIpv4("255.255.255.255")).toBe(0xffffffff);
  for (const text of ["10.44.0", "10.44.0.256", "010.44.0.2", "10.44.0.2 ", "::1", ""]) {
    expect(parseIpv4(text)).toBeUndefined();
  }
});

it("knows which addresses a host can have", () => {
  const can = (text: string): boolean => isHostAddress(parseIpv4Network(text)!);
  expect(["10.44.0.2/24", "10.0.0.0/31", "192.0.2.1/32"].every(can)).toBe(true);
  expect(["10.44.0.0/24", "10.44.0.255/24", "127.0.0.1/8", "224.0.0.1/4", "0.0.0.1/8"].some(can)).toBe(false);
  expect(parseIpv4Network("10.0.0.1/33")).toBeUndefined();
  expect(parseIpv4Network("10.0.0.1/0")).toBeUndefined();
});

it("knows what lies in a network", () => {
  const network = parseIpv4Network("200.1.2.3/22")!;
  expect(inNetwork(parseIpv4("200.1.3.255")!, network)).toBe(true);
  expect(inNetwork(parseIpv4("200.1.4.0")!, network)).toBe(false);
});

it("takes an address and a port", () => {
  expect(parseIpv4Endpoint("10.0.0.2:9000")).toEqual({ address: "10.0.0.2", port: 9000 });
  for (const text of ["10.0.0.2", "10.0.0.2:0", "10.0.0.2:65536", "a:1", "10.0.0.2:1:2"]) {
    expect(parseIpv4Endpoint(text)).toBeUndefined();
  }
});
