/** The folder of a run that another process writes to. */
import { RunFolder } from "./run_folder.ts";

/** A run's folder for the processes that train together with the one that writes it. It can be read; all writes are
 * ignored.
 *
 * ```ts
 * import { ReadOnlyRunFolder } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const path = await Deno.makeTempDir();
 * const folder = new ReadOnlyRunFolder(path);
 * await folder.writeSummary();
 * assert.equal(await folder.state(), "empty");
 * await Deno.remove(path);
 * ```
 */
export class ReadOnlyRunFolder extends RunFolder {
  /** Takes no lock: the writing process holds it. */
  override lock(): Promise<Disposable> {
    return Promise.resolve({ [Symbol.dispose]() {} });
  }

  /** Does nothing. */
  override begin(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** Returns the path, and writes nothing. */
  override writeTrace(): Promise<string> {
    return Promise.resolve(this.path);
  }

  /** Does nothing. */
  override sync(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing. */
  override clear(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing. */
  override log(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing. */
  override logCounts(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing. */
  override saveCheckpoint(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing. */
  override saveSamples(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing. */
  override writeConfig(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing. */
  override writeSummary(): Promise<void> {
    return Promise.resolve();
  }

  /** Does nothing. */
  override writeEvaluation(): Promise<void> {
    return Promise.resolve();
  }
}
