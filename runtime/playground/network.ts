/** The playground's network: one TAP between the kernel's stack and weir's, in a namespace of its own. */

/** Name of the TAP as the kernel sees it. */
export const DEVICE = "weir0";
/** The kernel's side. */
export const KERNEL_ADDRESS = "10.44.0.1";
/** weir's side. */
export const WEIR_ADDRESS = "10.44.0.2";
export const PREFIX_BITS = 24;
/** The same two for IPv6. */
export const KERNEL_ADDRESS_V6 = "fd44::1";
export const WEIR_ADDRESS_V6 = "fd44::2";
export const PREFIX_BITS_V6 = 64;
/** Where the playground's kernel server listens, for the proxy example to connect to. */
export const KERNEL_SERVER_PORT = 9_000;
/** A mount point that every Linux has; the playground puts its own memory file system over it. */
export const RUN_MOUNT = "/dev/shm";
/** Folder for sockets and state, inside the playground. */
export const RUN_FOLDER = `${RUN_MOUNT}/weir`;
/** The host's API socket, inside the playground. */
export const API_SOCKET = `${RUN_FOLDER}/api.sock`;
