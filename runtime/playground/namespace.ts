/** Command lines that make and enter the playground's namespaces. */
import { accessSync, constants } from "node:fs";
import { CliError, ExitCode } from "../cli/shared/output.js";
import { RUN_MOUNT } from "./network.js";

/** Size of the playground's own memory file system: compiled modules, sockets, counters. */
const RUN_MOUNT_MIB = 512;

/** Whether this user needs a user namespace to be allowed a network namespace and a TAP. */
export function needsUserNamespace(): boolean {
  return process.getuid?.() !== 0;
}

/** Throws a CliError when no TAP can be opened here. */
export function requireTun(): void {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new CliError(
      missing ? "/dev/net/tun is missing: no TAP can be made here." : "/dev/net/tun may not be opened by this user.",
      ExitCode.failed,
      missing
        ? "Load the kernel module (`sudo modprobe tun`); in a container pass --device /dev/net/tun."
        : "Run as root, or allow it once: `sudo chmod 0666 /dev/net/tun`.",
    );
  }
}

/**
 * The command line that runs `command` as the first process of new network, mount and process namespaces. The kernel
 * ends all of them when either the caller (parent-death signal, prctl(2)) or the unshare process ends, however that
 * happens.
 */
export function newNamespaces(command: readonly string[], userNamespace: boolean): string[] {
  return [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    ...(userNamespace ? ["--user", "--map-root-user"] : []),
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-c",
    `mount -t tmpfs -o mode=0700,size=${RUN_MOUNT_MIB}m weir ${RUN_MOUNT} && exec "$@"`,
    "sh",
    ...command,
  ];
}

/** The command line that runs `command` in the network namespace of process `pid`. */
export function enterNetwork(pid: number, command: readonly string[], userNamespace: boolean): string[] {
  return [
    "nsenter",
    "--target",
    String(pid),
    "--net",
    ...(userNamespace ? ["--user", "--preserve-credentials"] : []),
    "--",
    ...command,
  ];
}
