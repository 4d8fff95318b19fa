import { defineConfig } from "vitest/config";

const exclude = ["**/node_modules/**", "**/dist/**", "native/**", "**/build-asan/**"];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["runtime/**/*.test.{ts,js}", "guest/**/*.test.ts", "examples/**/*.test.ts", "bench/**/*.test.js"],
          exclude,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "whole",
          include: ["test/**/*.test.ts"],
          exclude,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: true,
        },
      },
    ],
    maxWorkers: 2,
  },
});
