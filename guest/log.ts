/** Log lines with a level. console.log and its kin work as well. */
import { LOG_LINE_BYTES, LogLevel } from "./abi";
import { scratch } from "rt/heap";
import { writeUtf8 } from "./text";

// @ts-ignore: decorator
@external("weir", "log")
declare function write(level: i32, text: usize, bytes: i32): void;

function line(level: LogLevel, text: string): void {
  const shown = text.length > <i32>LOG_LINE_BYTES ? text.substring(0, LOG_LINE_BYTES) : text;
  const to = scratch(<usize>shown.length * 3);
  write(level, to, writeUtf8(shown, to));
}

export function debug(text: string): void { line(LogLevel.Debug, text); }
export function info(text: string): void { line(LogLevel.Info, text); }
export function warn(text: string): void { line(LogLevel.Warn, text); }
export function error(text: string): void { line(LogLevel.Error, text); }
