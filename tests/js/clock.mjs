// A calendar clock for one process, wrong by as much as a test says, from one moment to the next.

import assert from "node:assert/strict";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { here, run } from "./harness.mjs";

/** Option of a test that sets a clock. */
export const SETTABLE = { skip: process.platform !== "linux" && "a clock is set by a library for Linux" };

export class WrongClock {
  /** A clock that is right, in `folder`, which is a test's own; needs a C compiler. */
  static async make(folder) {
    const library = join(folder, "wrong_clock.so");
    const source = here("clock/wrong_clock.c");
    const { code, stderr } = await run("cc", ["-Wall", "-O2", "-shared", "-fPIC", "-o", library, source]);
    assert.equal(code, 0, stderr);
    return new WrongClock(library, join(folder, "wrong_clock"));
  }

  constructor(library, file) {
    /** What a process has to find in its environment. */
    this.environment = { LD_PRELOAD: library, WRONG_CLOCK: file };
    this.file = openSync(file, "w");
    this.set(0);
  }

  /** Sets it `ms` milliseconds ahead; less than nothing: behind. */
  set(ms) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(ms));
    // Over what is there: a process has the file mapped, and must never find it empty.
    writeSync(this.file, bytes, 0, bytes.length, 0);
  }

  close() {
    closeSync(this.file);
  }
}
