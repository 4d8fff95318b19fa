import { describe, expect, it } from "vitest";
import { formatHtml } from "./html.js";
import { judge, machine, noiseOf, summarize } from "./report.js";

const rows = [
  summarize("64 <connections>: weir", "messages/core-s", [900_000, 1_000_000, 1_100_000]),
  summarize("64 <connections>: Linux", "messages/core-s", [40_000, 50_000]),
  summarize("64 <connections>: weir", "us, p50", [1.2]),
];
const ratios = [judge("weir / Linux", 20, { atLeast: 30 }), judge("other", 2)];

describe("the page", () => {
  const noise = { ...noiseOf(rows), refusedWindows: { "time was stolen": 3 } };
  const notes = ["<nginx> was left out"];
  const page = formatHtml([{ figure: "echo", machine: machine(), noise, rows, ratios, notes }]);

  it("has a plot for each unit", () => {
    expect(page.match(/<svg/g)).toHaveLength(2);
    expect(page).toContain("messages/core-s");
    expect(page).toContain("us, p50");
  });

  it("says which goals were met, where there are any", () => {
    expect(page).toContain("<td>weir / Linux</td><td>20.00</td><td>30</td><td>not met</td>");
    expect(page).toContain("<td>other</td><td>2.00</td><td></td><td></td>");
  });

  it("says what does not count and what was left out", () => {
    expect(page).toContain("3 windows do not count: time was stolen");
    expect(page).toContain("&#60;nginx&#62; was left out");
  });

  it("contains no markup that a name brings along", () => {
    expect(page).not.toContain("<connections>");
  });
});
