/**
 * The playground's inner process, first process of its namespaces: the host with its TAP, the kernel server, and the
 * relays. Everything that it starts ends with it.
 */
import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import type { Server } from "node:net";
import { promisify } from "node:util";
import { hostConfigSchema } from "../config/host-config.js";
import { startHost } from "../control/host.js";
import { startKernelServer } from "./kernel-server.js";
import {
  API_SOCKET,
  DEVICE,
  KERNEL_ADDRESS,
  KERNEL_ADDRESS_V6,
  KERNEL_SERVER_PORT,
  PREFIX_BITS,
  PREFIX_BITS_V6,
  RUN_FOLDER,
  WEIR_ADDRESS,
  WEIR_ADDRESS_V6,
} from "./network.js";
import type { FromInner, ToInner } from "./protocol.js";
import { type Relay, relay } from "./relay.js";

const IP_TIMEOUT_MS = 10_000;

function tell(message: FromInner): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

async function prepareNetwork(): Promise<void> {
  await promisify(execFile)("ip", ["link", "set", "lo", "up"], { timeout: IP_TIMEOUT_MS });
}

async function main(): Promise<void> {
  await prepareNetwork();
  mkdirSync(RUN_FOLDER, { recursive: true, mode: 0o700 });
  const host = await startHost({
    config: hostConfigSchema.parse({
      state: `${RUN_FOLDER}/state`,
      api: { socket: API_SOCKET },
      port: [
        {
          name: "playground",
          driver: "tap",
          device: DEVICE,
          addresses: [`${WEIR_ADDRESS}/${PREFIX_BITS}`, `${WEIR_ADDRESS_V6}/${PREFIX_BITS_V6}`],
          // Who looks at packets here is to see them as they would be on a wire.
          offload: false,
          kernel_address: `${KERNEL_ADDRESS}/${PREFIX_BITS}`,
          kernel_address_v6: `${KERNEL_ADDRESS_V6}/${PREFIX_BITS_V6}`,
        },
      ],
    }),
    runDirectory: RUN_FOLDER,
    stateDirectory: `${RUN_FOLDER}/state`,
    persistent: false,
  });
  void host.closed.then(() => process.exit(0));
  await startKernelServer(KERNEL_ADDRESS, KERNEL_SERVER_PORT);

  const relays = new Map<string, Relay>();
  process.on("message", (message: ToInner, server: Server | undefined) => {
    if (message.kind === "stop") {
      for (const each of relays.values()) each.close();
      void host.close({ stopDataplane: true }).finally(() => process.exit(0));
    } else if (server !== undefined) {
      relays.get(message.id)?.close();
      relays.set(message.id, relay(server, message.target));
      void tell({ kind: "relaying", id: message.id });
    }
  });
  await tell({ kind: "ready" });
}

process.on("disconnect", () => process.exit(0));
try {
  await main();
} catch (error) {
  await tell({ kind: "failed", message: (error as Error).message });
  process.exit(1);
}
