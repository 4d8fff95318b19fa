/** The text protocol (memcached's protocol.txt). Words are separated by blanks, lines end with "\n" or "\r\n". */
import { copyBytes, findAtMost, findByte } from "@weir/guest/memory";
import { Client, Next } from "./client";
import { timeOf } from "./clock";
import {
  Mode, Status, arithmetic, lookUp, lookUpAndTouch, newValue, number, refusal, remove, storeValue, touch,
} from "./commands";
import { Counter, count, resetCounters } from "./counters";
import { isText, parseSigned, parseUnsigned, parsed, writeNumber } from "./text";
import { keyBytesOf, keyOf, suffixBytesOf, tailOf, uniqueOf, valueBytesOf } from "./item";
import { LONGEST_COPY_BYTES, put, replyAt, wroteTo } from "./reply";
import { VERSION, listGeneral, listItems, listSettings, listSlabs } from "./listing";
import { LONGEST_KEY_BYTES, flush } from "./store";

const BLANK: u8 = 0x20, CR: u8 = 0x0d, LF: u8 = 0x0a;
/** "get " as a number, as it is read. */
const GET: u32 = 0x20746567;
/** A line is no longer than this, unless it asks for many keys. */
const LINE_BYTES: u32 = 2048;
/** Blanks before a request for many keys, at most. */
const INDENT_BYTES: u32 = 100;
/** A value of this or more is no length, to memcached. */
const ABSURD_BYTES: i64 = i32.MAX_VALUE - 2;

/** Words that are looked at: a line that has more is only counted as having more. */
const MOST_WORDS: u32 = 9;
const words: usize = memory.data(80);
let wordCount: u32 = 0;

// @ts-ignore: decorator
@inline function wordAt(i: u32): usize { return load<u32>(words + (i << 3)); }
// @ts-ignore: decorator
@inline function wordEnd(i: u32): usize { return load<u32>(words + (i << 3), 4); }
// @ts-ignore: decorator
@inline function wordBytes(i: u32): u32 { return <u32>(wordEnd(i) - wordAt(i)); }

function split(at: usize, end: usize): void {
  wordCount = 0;
  while (wordCount < MOST_WORDS) {
    while (at < end && load<u8>(at) == BLANK) ++at;
    if (at >= end) return;
    const blank = findByte(at, end, BLANK);
    const stop = blank ? blank : end;
    store<u32>(words + (wordCount << 3), <u32>at);
    store<u32>(words + (wordCount << 3), <u32>stop, 4);
    ++wordCount;
    at = stop;
  }
}

// @ts-ignore: decorator
@inline function isWord(i: u32, text: string): bool { return i < wordCount && isText(wordAt(i), wordBytes(i), text); }

/** Whether a line that begins so is longer than what is taken of any: `total` bytes with what follows. */
export function isTooLong(at: usize, bytes: u32, total: u32): bool {
  if (total <= LINE_BYTES) return false;
  let blanks: u32 = 0;
  while (blanks < bytes && load<u8>(at + blanks) == BLANK) ++blanks;
  if (blanks > INDENT_BYTES || bytes < blanks + 5) return true;
  const verb = at + blanks;
  const middle = load<u8>(verb, 1);
  if (load<u8>(verb) != 0x67 || (middle != 0x65 && middle != 0x61) || load<u8>(verb, 2) != 0x74) return true; // get, gat
  const fourth = load<u8>(verb, 3);
  return fourth != BLANK && (fourth != 0x73 || load<u8>(verb, 4) != BLANK);
}

/** There is no memory for a request that comes in part. */
export function refuseLine(): void { put("SERVER_ERROR out of memory reading request\r\n"); }

/** Answers, unless the request wants none. */
// @ts-ignore: decorator
@inline function answer(quiet: bool, text: string): void { if (!quiet) put(text); }

/** Takes the request at `at`, and returns how long it is; 0 if it has not come wholly. */
export function takeRequest(client: Client, at: usize, end: usize): u32 {
  if (end - at > 6 && load<u32>(at) == GET) {
    const key = at + 4;
    const stop = findAtMost(key, end, BLANK);
    if (stop > key && stop + 1 < end && load<u16>(stop) == 0x0a0d) { // one key, and the end of the line
      const bytes = <u32>(stop - key);
      if (bytes <= LONGEST_KEY_BYTES) {
        const item = lookUp(key, bytes);
        client.withUnique = false;
        if (item && !writeItem(client, item)) {
          client.next = Next.Key; // the end of the line, when the value is sent
          return <u32>(stop - at);
        }
        writeEnd();
        return <u32>(stop + 2 - at);
      }
    }
  }
  const newline = findByte(at, end, LF);
  if (!newline) return 0;
  const taken = <u32>(newline + 1 - at);
  if (isTooLong(at, taken, taken)) {
    client.finish();
    return taken;
  }
  split(at, newline - at > 1 && load<u8>(newline - 1) == CR ? newline - 1 : newline);
  return takeWords(client, at, taken);
}

/** Takes the request whose words have been split. */
function takeWords(client: Client, at: usize, taken: u32): u32 {
  if (!wordCount) {
    put("ERROR\r\n");
    return taken;
  }
  const first = load<u8>(wordAt(0));
  if (first == 0x67) { // g
    const touches = isWord(0, "gat") || isWord(0, "gats");
    if (touches || isWord(0, "get") || isWord(0, "gets")) return takeKeys(client, at, taken, touches);
  } else if (isWord(0, "set")) return takeStorage(client, Mode.Set, taken);
  else if (isWord(0, "add")) return takeStorage(client, Mode.Add, taken);
  else if (isWord(0, "replace")) return takeStorage(client, Mode.Replace, taken);
  else if (isWord(0, "append")) return takeStorage(client, Mode.Append, taken);
  else if (isWord(0, "prepend")) return takeStorage(client, Mode.Prepend, taken);
  else if (isWord(0, "cas")) return takeStorage(client, Mode.Cas, taken);
  else if (isWord(0, "incr")) return takeArithmetic(true, taken);
  else if (isWord(0, "decr")) return takeArithmetic(false, taken);
  else if (isWord(0, "delete")) return takeDelete(taken);
  else if (isWord(0, "touch")) return takeTouch(taken);
  else if (isWord(0, "flush_all")) return takeFlush(taken);
  else if (isWord(0, "verbosity")) return takeVerbosity(taken);
  else if (isWord(0, "stats")) return takeStats(client, taken);
  else if (isWord(0, "version")) {
    put("VERSION ");
    put(VERSION);
    put("\r\n");
    return taken;
  } else if (isWord(0, "quit")) {
    client.finish();
    return taken;
  }
  put("ERROR\r\n");
  return taken;
}

function isQuiet(): bool { return isWord(wordCount - 1, "noreply"); }

// --- Retrieval

/** Takes get, gets, gat and gats up to their first key; takeKey goes on from there. */
function takeKeys(client: Client, at: usize, taken: u32, touches: bool): u32 {
  if (wordCount < 2) {
    put("ERROR\r\n");
    return taken;
  }
  let last: u32 = 0;
  if (touches) {
    if (!parseSigned(wordAt(1), wordEnd(1))) {
      put("CLIENT_ERROR invalid exptime argument\r\n");
      return taken;
    }
    client.expiry = timeOf(<i32>parsed);
    last = 1;
  }
  if (hasLongWord(wordEnd(last), at + taken)) {
    put("CLIENT_ERROR bad command line format\r\n");
    return taken;
  }
  client.touches = touches;
  client.withUnique = wordBytes(0) == 4;
  client.next = Next.Key;
  return <u32>(wordEnd(last) - at);
}

/** Whether a word is too long for a key: nothing is answered for the others then. */
function hasLongWord(at: usize, end: usize): bool {
  while (<u32>(end - at) > LONGEST_KEY_BYTES) {
    const stop = keyEnd(at, end);
    if (<u32>(stop - at) > LONGEST_KEY_BYTES) return true;
    at = stop + 1;
  }
  return false;
}

/** Where the word at `at` ends: at a blank, or where the line does. The line is known to have its end. */
function keyEnd(at: usize, end: usize): usize {
  let stop = findAtMost(at, end, BLANK);
  while (!endsKey(stop)) stop = findAtMost(stop + 1, end, BLANK); // other controls may be in a key
  return stop;
}

// @ts-ignore: decorator
@inline function endsKey(at: usize): bool {
  const byte = load<u8>(at);
  return byte == BLANK || byte == LF || (byte == CR && load<u8>(at, 1) == LF);
}

/** Answers for the next key of the line at `at`, or ends it. Returns where what follows begins. */
export function takeKey(client: Client, at: usize, end: usize): usize {
  while (load<u8>(at) == BLANK) ++at;
  const stop = keyEnd(at, end);
  if (stop == at) {
    writeEnd();
    client.touches = false;
    client.next = Next.Request;
    return stop + (load<u8>(stop) == CR ? 2 : 1);
  }
  const bytes = <u32>(stop - at);
  const item = client.touches ? lookUpAndTouch(at, bytes, client.expiry) : lookUp(at, bytes);
  if (item) writeItem(client, item);
  return stop;
}

// @ts-ignore: decorator
@inline function writeEnd(): void {
  const at = replyAt();
  store<u32>(at, 0x0d444e45); // "END\r"
  store<u8>(at, LF, 4);
  wroteTo(at + 5);
}

/** Answers with an item. False if its value is still to be sent, before anything else. */
function writeItem(client: Client, item: usize): bool {
  let at = replyAt();
  store<u32>(at, 0x554c4156); // "VALU"
  store<u16>(at, 0x2045, 4); // "E "
  at += 6;
  const head = keyBytesOf(item) + suffixBytesOf(item), value = valueBytesOf(item) + 2;
  if (value <= LONGEST_COPY_BYTES && !client.withUnique) {
    copyBytes(at, keyOf(item), head + value);
    wroteTo(at + head + value);
    return true;
  }
  copyBytes(at, keyOf(item), head);
  at += head;
  if (client.withUnique) {
    store<u8>(at - 2, BLANK);
    at = writeNumber(uniqueOf(item), at - 1);
    store<u16>(at, 0x0a0d);
    at += 2;
  }
  const short = value <= LONGEST_COPY_BYTES;
  if (short) {
    copyBytes(at, tailOf(item), value);
    at += value;
  } else {
    client.sendValue(item, value);
  }
  wroteTo(at);
  return short;
}

// --- Storage

function takeStorage(client: Client, mode: Mode, taken: u32): u32 {
  const needed: u32 = mode == Mode.Cas ? 6 : 5;
  if (wordCount != needed && wordCount != needed + 1) {
    put("ERROR\r\n");
    return taken;
  }
  const quiet = isQuiet();
  let fine = wordBytes(1) <= LONGEST_KEY_BYTES && parseUnsigned(wordAt(2), wordEnd(2));
  const flags = <u32>parsed;
  fine = fine && parseSigned(wordAt(3), wordEnd(3));
  const expiry = timeOf(<i32>parsed);
  fine = fine && parseSigned(wordAt(4), wordEnd(4));
  const bytes = <i64>parsed;
  fine = fine && bytes >= 0 && bytes <= ABSURD_BYTES;
  client.wanted = 0;
  if (fine && mode == Mode.Cas) {
    fine = parseUnsigned(wordAt(5), wordEnd(5));
    client.wanted = parsed;
  }
  if (!fine) {
    answer(quiet, "CLIENT_ERROR bad command line format\r\n");
    return taken;
  }
  const item = newValue(mode, wordAt(1), wordBytes(1), flags, expiry, bytes);
  if (!item) {
    if (refusal == Status.TooLarge) answer(quiet, "SERVER_ERROR object too large for cache\r\n");
    else answer(quiet, "SERVER_ERROR out of memory storing object\r\n");
    client.refuseValue(bytes + 2);
    return taken;
  }
  client.mode = mode;
  client.quiet = quiet;
  client.beginValue(item);
  return taken;
}

/** The value of a storage command has come. */
export function finishValue(client: Client): void {
  const quiet = client.quiet;
  if (client.broken) {
    count(Counter.SetCommands);
    answer(quiet, "CLIENT_ERROR bad data chunk\r\n");
    return;
  }
  const status = storeValue(client.item, client.mode, client.wanted);
  if (status == Status.Done) answer(quiet, "STORED\r\n");
  else if (status == Status.Exists) answer(quiet, "EXISTS\r\n");
  else if (status == Status.NotFound) answer(quiet, "NOT_FOUND\r\n");
  else answer(quiet, "NOT_STORED\r\n");
}

// --- Everything else

/** Whether the word after the verb can be a key; answers if not. */
function hasKey(quiet: bool): bool {
  if (wordBytes(1) <= LONGEST_KEY_BYTES) return true;
  answer(quiet, "CLIENT_ERROR bad command line format\r\n");
  return false;
}

function takeArithmetic(isIncrement: bool, taken: u32): u32 {
  if (wordCount < 3 || wordCount > 4) {
    put("ERROR\r\n");
    return taken;
  }
  const quiet = isQuiet();
  if (!hasKey(quiet)) return taken;
  if (!parseUnsigned(wordAt(2), wordEnd(2))) {
    answer(quiet, "CLIENT_ERROR invalid numeric delta argument\r\n");
    return taken;
  }
  const status = arithmetic(wordAt(1), wordBytes(1), parsed, isIncrement, 0);
  if (quiet) return taken;
  if (status == Status.Done) {
    wroteTo(writeNumber(number, replyAt()));
    put("\r\n");
  } else if (status == Status.NotFound) put("NOT_FOUND\r\n");
  else if (status == Status.NoMemory) put("SERVER_ERROR out of memory in incr\r\n");
  else put("CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
  return taken;
}

function takeDelete(taken: u32): u32 {
  if (wordCount < 2 || wordCount > 4) {
    put("ERROR\r\n");
    return taken;
  }
  const quiet = wordCount > 2 && isQuiet();
  if (!hasKey(quiet)) return taken;
  // There was a time to wait once; 0 is still taken.
  if (wordCount > 2 && !(isWord(2, "0") && (wordCount == 3 || quiet)) && !(wordCount == 3 && quiet)) {
    answer(quiet, "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n");
    return taken;
  }
  const status = remove(wordAt(1), wordBytes(1), 0);
  answer(quiet, status == Status.Done ? "DELETED\r\n" : "NOT_FOUND\r\n");
  return taken;
}

function takeTouch(taken: u32): u32 {
  if (wordCount < 3 || wordCount > 4) {
    put("ERROR\r\n");
    return taken;
  }
  const quiet = isQuiet();
  if (!hasKey(quiet)) return taken;
  if (!parseSigned(wordAt(2), wordEnd(2))) answer(quiet, "CLIENT_ERROR invalid exptime argument\r\n");
  else answer(quiet, touch(wordAt(1), wordBytes(1), timeOf(<i32>parsed)) ? "TOUCHED\r\n" : "NOT_FOUND\r\n");
  return taken;
}

function takeFlush(taken: u32): u32 {
  if (wordCount > 3) {
    put("ERROR\r\n");
    return taken;
  }
  const quiet = isQuiet();
  count(Counter.FlushCommands);
  const hasTime = wordCount > (quiet ? <u32>2 : <u32>1);
  if (hasTime && !parseSigned(wordAt(1), wordEnd(1))) {
    answer(quiet, "CLIENT_ERROR invalid exptime argument\r\n");
    return taken;
  }
  flush(hasTime ? timeOf(<i32>parsed) : 0);
  answer(quiet, "OK\r\n");
  return taken;
}

/** There is nothing that could be more or less verbose. */
function takeVerbosity(taken: u32): u32 {
  if (wordCount < 2 || wordCount > 3) put("ERROR\r\n");
  else if (!isQuiet()) put(parseUnsigned(wordAt(1), wordEnd(1)) ? "OK\r\n" : "CLIENT_ERROR bad command line format\r\n");
  return taken;
}

function putStat(client: Client, name: string, value: string): void {
  put("STAT ");
  put(name);
  put(" ");
  put(value);
  put("\r\n");
}

function takeStats(client: Client, taken: u32): u32 {
  if (wordCount == 1) listGeneral(putStat, client);
  else if (isWord(1, "settings")) listSettings(putStat, client);
  else if (isWord(1, "items")) listItems(putStat, client);
  else if (isWord(1, "slabs")) listSlabs(putStat, client);
  else if (isWord(1, "reset")) {
    resetCounters();
    put("RESET\r\n");
    return taken;
  } else {
    put("ERROR\r\n");
    return taken;
  }
  writeEnd();
  return taken;
}
