/** The numbers of the contract, from its definition. */
import { commands, constants, events } from "../../runtime/abi/contract.js";

const constant = (name: string): number => {
  const found = constants.find((entry) => entry.name === name);
  if (!found) throw new Error(`the contract has no ${name}`);
  return found.value;
};

const kinds = (of: typeof events): Record<string, number> => Object.fromEntries(of.map((kind) => [kind.name, kind.value]));

export const layout = {
  info: constant("info"),
  events: constant("events"),
  packets: constant("packets"),
  packetBytes: constant("rx_window") + constant("rx_window_bytes") - constant("packets"),
  commands: constant("commands"),
  moduleBase: constant("module_base"),
  commandKinds: kinds(commands),
} as const;

const number = (name: string): number => kinds(events)[name] ?? -1;

export const KIND = {
  opened: number("opened"),
  received: number("received"),
  ended: number("ended"),
  sent: number("sent"),
  closed: number("closed"),
  datagram: number("datagram"),
  timer: number("timer"),
} as const;

/** Where the test host puts the strings of the configuration, from the start of the info block. */
export const INFO_CONFIG_STRINGS = 0x8000;
