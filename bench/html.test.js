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
  const page = formatHtml([{ figure: "echo", machine: machine(), noise: noiseOf(rows), rows, ratios }]);

  it("has a plot for each unit", () => {
    expect(page.match(/<svg/g)).toHaveLength(2);
    expect(page).toContain("messages/core-s");
    expect(page).toContain("us, p50");
  });

  it("says which goals were met, where there are any", () => {
    expect(page).toContain("<td>weir / Linux</td><td>20.00</td><td>30</td><td>not met</td>");
    expect(page).toContain("<td>other</td><td>2.00</td><td></td><td></td>");
  });

  it("contains no markup that a name brings along", () => {
    expect(page).not.toContain("<connections>");
  });
});
