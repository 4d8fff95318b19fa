/** Entry of a dataplane process that moves no packets. */
import { runDataplane } from "../dataplane.js";
import { fakeNative } from "./fake-native.js";

runDataplane(fakeNative(), process.argv[2]!).then(
  () => process.exit(0),
  (error: Error) => {
    console.error(error.message);
    process.exit(1);
  },
);
