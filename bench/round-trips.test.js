import { describe, expect, it } from "vitest";
import { halfBandwidthBytes } from "./round-trips.js";

describe("half of the greatest bandwidth", () => {
  it("is reached between two sizes", () => {
    // 1, 4 and 8 bytes a microsecond: half of 8 is there at the second.
    expect(halfBandwidthBytes([64, 1_024, 8_192].map((bytes, i) => ({ bytes, us: bytes / [1, 4, 8][i] })))).toBe(1_024);
    // 1 and 16: 8 lies three quarters of the way from 64 to 1,024, of which each quarter is twice as much.
    const trips = [
      { bytes: 64, us: 64 },
      { bytes: 1_024, us: 64 },
    ];
    expect(halfBandwidthBytes(trips)).toBeCloseTo(512);
  });
  it("may be the smallest one's", () => {
    const trips = [
      { bytes: 64, us: 1 },
      { bytes: 1_024, us: 16 },
    ];
    expect(halfBandwidthBytes(trips)).toBe(64);
  });
  it("is not told by one size", () => {
    expect(halfBandwidthBytes([{ bytes: 64, us: 1 }])).toBeUndefined();
  });
});
