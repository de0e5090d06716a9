/** What the WebAssembly module exports. */
export interface Exports {
  enter(slot: number, address: number, threads: number): void;
  heapBase(): number;
  jobAddress(): number;
  scratchBytes(): number;
  leave(): void;
  matmul(...args: number[]): void;
}
