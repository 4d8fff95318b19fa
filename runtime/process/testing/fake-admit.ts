/** Entry of an admission process without an engine. */
import { admitInDirectory } from "../../admit/child.js";
import { fakeNative } from "./fake-native.js";

admitInDirectory(fakeNative(), process.argv[2]!, Number(process.argv[3]));
