/** TCP handlers. */
import { Connection, setFactory, startConnect } from "./connection";
import { listenIndex } from "./config";

export { CloseReason as Reason } from "./abi";
export { Bytes } from "./bytes";
export { Connection } from "./connection";

/** Makes a `T` for every connection to the [[listen]] entry `name`. */
export function listen<T extends Connection>(name: string = "main"): void {
  setFactory(listenIndex(name, "tcp"), (): Connection => instantiate<T>());
}

/** Connects to ADDRESS:PORT or NAME:PORT, which [[connect]] has to list; a name as it is written there. */
export function connect<T extends Connection>(to: string): T {
  const connection = instantiate<T>();
  startConnect(connection, to);
  return connection;
}
