/** The binary protocol (memcached's protocol_binary.h): a head of 24 bytes, extras, a key, a value. Numbers are big-endian. */
import { copyBytes } from "@weir/guest/memory";
import { Client } from "./client";
import { timeOf } from "./clock";
import {
  Mode, Status, arithmetic, lookUp, lookUpAndTouch, newValue, number, refusal, remove, startNumber, storeValue, touch, unique,
} from "./commands";
import { Counter, count, resetCounters } from "./counters";
import { flagsOf, keyBytesOf, keyOf, tailOf, uniqueOf, valueBytesOf } from "./item";
import { VERSION, listGeneral, listItems, listSettings, listSlabs } from "./listing";
import { LONGEST_COPY_BYTES, put, replyAt, wroteTo } from "./reply";
import { LONGEST_KEY_BYTES, flush } from "./store";
import { isText } from "./text";

const REQUEST: u8 = 0x80, RESPONSE: u8 = 0x81;
const HEAD_BYTES: u32 = 24;
/** What a number that does not exist yet has for its expiry when it is not to be made. */
const NOT_MADE: u32 = 0xffffffff;

enum Opcode {
  Get = 0x00, Set = 0x01, Add = 0x02, Replace = 0x03, Delete = 0x04, Increment = 0x05, Decrement = 0x06, Quit = 0x07,
  Flush = 0x08, GetQ = 0x09, Noop = 0x0a, Version = 0x0b, GetK = 0x0c, GetKQ = 0x0d, Append = 0x0e, Prepend = 0x0f,
  Stat = 0x10, SetQ = 0x11, AddQ = 0x12, ReplaceQ = 0x13, DeleteQ = 0x14, IncrementQ = 0x15, DecrementQ = 0x16,
  QuitQ = 0x17, FlushQ = 0x18, AppendQ = 0x19, PrependQ = 0x1a, Verbosity = 0x1b, Touch = 0x1c, Gat = 0x1d, GatQ = 0x1e,
  GatK = 0x23, GatKQ = 0x24,
}

/** Codes in an answer. */
enum Code {
  Success = 0x00, KeyNotFound = 0x01, KeyExists = 0x02, TooLarge = 0x03, InvalidArguments = 0x04, NotStored = 0x05,
  NotANumber = 0x06, UnknownCommand = 0x81, OutOfMemory = 0x82,
}

// @ts-ignore: decorator
@inline export function isBinary(at: usize): bool { return load<u8>(at) == REQUEST; }
// @ts-ignore: decorator
@inline function keyBytesAt(head: usize): u32 { return bswap(load<u16>(head, 2)); }
// @ts-ignore: decorator
@inline function extraBytesAt(head: usize): u32 { return load<u8>(head, 4); }
// @ts-ignore: decorator
@inline function bodyBytesAt(head: usize): u32 { return bswap(load<u32>(head, 8)); }

/** Whether key and extras fit the body. */
// @ts-ignore: decorator
@inline function areLengthsPossible(head: usize): bool { return keyBytesAt(head) + extraBytesAt(head) <= bodyBytesAt(head); }

/** Whether lengths and magic are those of a request at all. */
// @ts-ignore: decorator
@inline function isWellFormed(head: usize): bool {
  return isBinary(head) && keyBytesAt(head) <= LONGEST_KEY_BYTES && areLengthsPossible(head);
}

/** How many bytes have to be there before a request, of which `bytes` are there, is taken: all but a value. */
export function headBytes(head: usize, bytes: u32): u32 {
  if (bytes < HEAD_BYTES || !isWellFormed(head)) return HEAD_BYTES;
  return HEAD_BYTES + extraBytesAt(head) + keyBytesAt(head);
}

/** Writes the head of an answer, and leaves room for nothing: what follows is written behind it. */
// @ts-ignore: decorator
@inline function writeHead(opcode: i32, opaque: u32, code: Code, extras: u32, key: u32, body: u32, cas: u64): usize {
  const at = replyAt();
  store<u8>(at, RESPONSE);
  store<u8>(at, <u8>opcode, 1);
  store<u16>(at, bswap<u16>(<u16>key), 2);
  store<u16>(at, <u16>extras, 4); // and the data type, which is 0
  store<u16>(at, bswap<u16>(<u16>code), 6);
  store<u32>(at, bswap<u32>(body), 8);
  store<u32>(at, opaque, 12); // as it came
  store<u64>(at, bswap<u64>(cas), 16);
  wroteTo(at + HEAD_BYTES);
  return at + HEAD_BYTES;
}

function succeed(opcode: i32, opaque: u32, cas: u64): void { writeHead(opcode, opaque, Code.Success, 0, 0, 0, cas); }

function fail(opcode: i32, opaque: u32, code: Code): void {
  let text = "Unknown command";
  if (code == Code.KeyNotFound) text = "Not found";
  else if (code == Code.KeyExists) text = "Data exists for key.";
  else if (code == Code.TooLarge) text = "Too large.";
  else if (code == Code.InvalidArguments) text = "Invalid arguments";
  else if (code == Code.NotStored) text = "Not stored.";
  else if (code == Code.NotANumber) text = "Non-numeric server-side value for incr or decr";
  else if (code == Code.OutOfMemory) text = "Out of memory";
  writeHead(opcode, opaque, code, 0, 0, text.length, 0);
  put(text);
}

/** There is no memory for a request that comes in part. */
export function refuseHead(head: usize): void { fail(load<u8>(head, 1), 0, Code.OutOfMemory); }

/** The code for what became of a command. */
function codeOf(status: Status): Code {
  if (status == Status.Done) return Code.Success;
  if (status == Status.Exists) return Code.KeyExists;
  if (status == Status.NotFound) return Code.KeyNotFound;
  if (status == Status.TooLarge) return Code.TooLarge;
  if (status == Status.NoMemory) return Code.OutOfMemory;
  return status == Status.NotANumber ? Code.NotANumber : Code.NotStored;
}

/** Answers with a code; when all went well, and the request is a quiet one, not at all. */
function reply(client: Client, status: Status, quiet: bool, cas: u64): void {
  if (status != Status.Done) fail(client.opcode, client.opaque, codeOf(status));
  else if (!quiet) succeed(client.opcode, client.opaque, cas);
}

/** Takes the request at `at`, and returns how long it is without its value; 0 if it has not come up to there. */
export function takeBinaryRequest(client: Client, at: usize, end: usize): u32 {
  const there = <u32>(end - at);
  if (there < HEAD_BYTES) return 0;
  const opcode: i32 = load<u8>(at, 1);
  client.opcode = opcode;
  client.opaque = load<u32>(at, 12);
  if (!isWellFormed(at)) {
    // Where the next request begins cannot be known.
    if (isBinary(at)) fail(opcode, client.opaque, areLengthsPossible(at) ? Code.InvalidArguments : Code.UnknownCommand);
    client.finish();
    return HEAD_BYTES;
  }
  const extraBytes = extraBytesAt(at), keyBytes = keyBytesAt(at);
  const taken = HEAD_BYTES + extraBytes + keyBytes;
  if (there < taken) return 0;
  if (!execute(client, at, extraBytes, keyBytes)) {
    fail(opcode, client.opaque, Code.InvalidArguments);
    client.finish();
  }
  return taken;
}

/** Does what the request at `head` wants, as far as it does not wait for a value. False if it is not what its opcode needs. */
function execute(client: Client, head: usize, extraBytes: u32, keyBytes: u32): bool {
  const opcode = client.opcode;
  const extras = head + HEAD_BYTES;
  const key = extras + extraBytes;
  const bodyBytes = bodyBytesAt(head);
  const valueBytes = bodyBytes - extraBytes - keyBytes;
  const cas = bswap(load<u64>(head, 16));
  switch (opcode) {
    case Opcode.Get: case Opcode.GetQ: case Opcode.GetK: case Opcode.GetKQ:
      if (extraBytes || !keyBytes || valueBytes) return false;
      writeItem(client, lookUp(key, keyBytes), key, keyBytes);
      return true;
    case Opcode.Gat: case Opcode.GatQ: case Opcode.GatK: case Opcode.GatKQ:
      if (extraBytes != 4 || !keyBytes || valueBytes) return false;
      writeItem(client, lookUpAndTouch(key, keyBytes, expiryAt(extras)), key, keyBytes);
      return true;
    case Opcode.Touch:
      if (extraBytes != 4 || !keyBytes || valueBytes) return false;
      takeTouch(client, extras, key, keyBytes);
      return true;
    case Opcode.Set: case Opcode.SetQ: case Opcode.Add: case Opcode.AddQ: case Opcode.Replace: case Opcode.ReplaceQ:
      if (extraBytes != 8 || !keyBytes) return false;
      takeStorage(client, bswap(load<u32>(extras)), expiryAt(extras + 4), key, keyBytes, valueBytes, cas);
      return true;
    case Opcode.Append: case Opcode.AppendQ: case Opcode.Prepend: case Opcode.PrependQ:
      if (extraBytes || !keyBytes) return false;
      takeStorage(client, 0, 0, key, keyBytes, valueBytes, cas);
      return true;
    case Opcode.Delete: case Opcode.DeleteQ:
      if (extraBytes || !keyBytes || valueBytes) return false;
      reply(client, remove(key, keyBytes, cas), opcode == Opcode.DeleteQ, 0);
      return true;
    case Opcode.Increment: case Opcode.IncrementQ: case Opcode.Decrement: case Opcode.DecrementQ:
      if (extraBytes != 20 || !keyBytes || valueBytes) return false;
      takeArithmetic(client, extras, key, keyBytes, cas);
      return true;
    case Opcode.Flush: case Opcode.FlushQ:
      if ((extraBytes && extraBytes != 4) || keyBytes || valueBytes) return false;
      count(Counter.FlushCommands);
      flush(extraBytes ? expiryAt(extras) : 0);
      reply(client, Status.Done, opcode == Opcode.FlushQ, 0);
      return true;
    case Opcode.Noop:
      if (bodyBytes) return false;
      succeed(opcode, client.opaque, 0);
      return true;
    case Opcode.Verbosity: // there is nothing that could be more or less verbose
      if (extraBytes != 4 || keyBytes || valueBytes) return false;
      succeed(opcode, client.opaque, 0);
      return true;
    case Opcode.Version:
      if (bodyBytes) return false;
      writeHead(opcode, client.opaque, Code.Success, 0, 0, VERSION.length, 0);
      put(VERSION);
      return true;
    case Opcode.Stat:
      if (extraBytes || valueBytes) return false;
      takeStats(client, key, keyBytes);
      return true;
    case Opcode.Quit: case Opcode.QuitQ:
      if (bodyBytes) return false;
      if (opcode == Opcode.Quit) succeed(opcode, client.opaque, 0);
      client.finish();
      return true;
  }
  fail(opcode, client.opaque, Code.UnknownCommand);
  client.refuseValue(valueBytes);
  return true;
}

// @ts-ignore: decorator
@inline function expiryAt(extras: usize): u32 { return timeOf(<i64>bswap(load<u32>(extras))); } // never negative

/** Answers with an item, or that there is none. */
function writeItem(client: Client, item: usize, key: usize, keyBytes: u32): void {
  const opcode = client.opcode;
  const withKey = opcode == Opcode.GetK || opcode == Opcode.GetKQ || opcode == Opcode.GatK || opcode == Opcode.GatKQ;
  const keyPart: u32 = withKey ? keyBytes : 0;
  if (!item) {
    if (opcode == Opcode.GetQ || opcode == Opcode.GetKQ || opcode == Opcode.GatQ || opcode == Opcode.GatKQ) return;
    if (!withKey) {
      fail(opcode, client.opaque, Code.KeyNotFound);
      return;
    }
    const at = writeHead(opcode, client.opaque, Code.KeyNotFound, 0, keyBytes, keyBytes, 0);
    copyBytes(at, key, keyBytes);
    wroteTo(at + keyBytes);
    return;
  }
  const value = valueBytesOf(item);
  let at = writeHead(opcode, client.opaque, Code.Success, 4, keyPart, 4 + keyPart + value, uniqueOf(item));
  store<u32>(at, bswap(flagsOf(item)));
  at += 4;
  if (withKey) {
    copyBytes(at, keyOf(item), keyBytesOf(item));
    at += keyPart;
  }
  if (value <= LONGEST_COPY_BYTES) {
    copyBytes(at, tailOf(item), value);
    at += value;
  } else {
    client.sendValue(item, value);
  }
  wroteTo(at);
}

function takeTouch(client: Client, extras: usize, key: usize, keyBytes: u32): void {
  const item = touch(key, keyBytes, expiryAt(extras));
  if (!item) {
    fail(client.opcode, client.opaque, Code.KeyNotFound);
    return;
  }
  const at = writeHead(client.opcode, client.opaque, Code.Success, 4, 0, 4, uniqueOf(item));
  store<u32>(at, bswap(flagsOf(item)));
  wroteTo(at + 4);
}

function modeOf(opcode: i32): Mode {
  if (opcode == Opcode.Set || opcode == Opcode.SetQ) return Mode.Set;
  if (opcode == Opcode.Add || opcode == Opcode.AddQ) return Mode.Add;
  if (opcode == Opcode.Replace || opcode == Opcode.ReplaceQ) return Mode.Replace;
  return opcode == Opcode.Append || opcode == Opcode.AppendQ ? Mode.Append : Mode.Prepend;
}

function takeStorage(client: Client, flags: u32, expiry: u32, key: usize, keyBytes: u32, bytes: u32, cas: u64): void {
  const mode = modeOf(client.opcode);
  const item = newValue(mode, key, keyBytes, flags, expiry, bytes);
  if (!item) {
    fail(client.opcode, client.opaque, codeOf(refusal));
    client.refuseValue(bytes);
    return;
  }
  client.mode = cas && mode <= Mode.Replace ? Mode.Cas : mode;
  client.wanted = cas;
  client.beginValue(item);
}

/** The value of a storage command has come. */
export function finishBinaryValue(client: Client): void {
  const opcode = client.opcode;
  const status = storeValue(client.item, client.mode, client.wanted);
  if (status == Status.NotStored && client.mode == Mode.Add) fail(opcode, client.opaque, Code.KeyExists);
  else if (status == Status.NotStored && client.mode == Mode.Replace) fail(opcode, client.opaque, Code.KeyNotFound);
  else reply(client, status, (opcode >= Opcode.SetQ && opcode <= Opcode.ReplaceQ) || opcode == Opcode.AppendQ || opcode == Opcode.PrependQ, unique);
}

function takeArithmetic(client: Client, extras: usize, key: usize, keyBytes: u32, cas: u64): void {
  const opcode = client.opcode;
  const isIncrement = opcode == Opcode.Increment || opcode == Opcode.IncrementQ;
  const expiry = bswap(load<u32>(extras, 16));
  let status = arithmetic(key, keyBytes, bswap(load<u64>(extras)), isIncrement, cas);
  if (status == Status.NotFound && expiry != NOT_MADE) {
    status = startNumber(key, keyBytes, bswap(load<u64>(extras, 8)), timeOf(<i64>expiry));
  }
  if (status != Status.Done) {
    fail(opcode, client.opaque, codeOf(status));
    return;
  }
  if (opcode == Opcode.IncrementQ || opcode == Opcode.DecrementQ) return;
  const at = writeHead(opcode, client.opaque, Code.Success, 0, 0, 8, unique);
  store<u64>(at, bswap(number));
  wroteTo(at + 8);
}

function putStat(client: Client, name: string, value: string): void {
  writeHead(client.opcode, client.opaque, Code.Success, 0, name.length, name.length + value.length, 0);
  put(name);
  put(value);
}

function takeStats(client: Client, key: usize, bytes: u32): void {
  if (!bytes) listGeneral(putStat, client);
  else if (isText(key, bytes, "settings")) listSettings(putStat, client);
  else if (isText(key, bytes, "items")) listItems(putStat, client);
  else if (isText(key, bytes, "slabs")) listSlabs(putStat, client);
  else if (isText(key, bytes, "reset")) resetCounters();
  else {
    fail(client.opcode, client.opaque, Code.KeyNotFound);
    return;
  }
  succeed(client.opcode, client.opaque, 0); // an answer without a key is the last one
}
