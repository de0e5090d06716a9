/** What the WebAssembly module exports. */

/** An elementwise operation, which reads its operands from the job. */
export type MapName = `map${string}`;

/** The module's functions. Addresses are in bytes. The functions read all other arguments from the job. */
export interface Exports {
  /** Assigns the calling thread its slot of the scratch memory. `mayBlock` says whether the thread may sleep while others
   * finish a job. */
  enter(slot: number, address: number, threads: number, mayBlock: boolean): void;
  /** The first address that the module itself does not use. */
  heapBase(): number;
  /** The address for the arguments of a job. */
  jobAddress(): number;
  /** Scratch memory per thread. */
  scratchBytes(): number;
  /** Ends the workers. */
  leave(): void;
  /** See assembly/matmul.ts. */
  matmul(
    a: number,
    b: number,
    c: number,
    packed: number,
    partials: number,
    batches: number,
    batchesA: number,
    batchesB: number,
    rows: number,
    depth: number,
    columns: number,
    transposeA: number,
    transposeB: number,
    splits: number,
  ): void;
  /** See assembly/conv.ts. */
  conv2d(x: number, w: number, bias: number, y: number, packed: number, relu: number): void;
  /** See assembly/conv.ts. */
  convTranspose2d(
    y: number,
    w: number,
    bias: number,
    x: number,
    packed: number,
    relu: number,
  ): void;
  /** See assembly/scatter.ts. */
  convTranspose2dNarrow(
    y: number,
    w: number,
    bias: number,
    x: number,
    packed: number,
    relu: number,
  ): void;
  /** See assembly/filter.ts. */
  filterSplits(): number;
  /** See assembly/filter.ts. */
  conv2dFilter(x: number, gradient: number, w: number, partials: number): void;
  /** See assembly/blas/matmul.ts. */
  blasMatmul(
    a: number,
    b: number,
    c: number,
    partials: number,
    batches: number,
    batchesA: number,
    batchesB: number,
    rows: number,
    depth: number,
    columns: number,
    transposeA: number,
    transposeB: number,
    splits: number,
  ): void;
  /** See assembly/blas/conv.ts. */
  blasConv2d(x: number, w: number, bias: number, y: number, relu: number): void;
  /** See assembly/blas/transposed.ts. */
  blasConvTranspose2d(y: number, w: number, bias: number, x: number, relu: number): void;
  /** See assembly/blas/filter.ts. */
  blasFilterSplits(): number;
  /** See assembly/blas/filter.ts. */
  blasConv2dFilter(x: number, gradient: number, w: number, partials: number): void;
  /** See assembly/dnn/tasks.ts. */
  dnnRun(count: number): void;
  /** See assembly/dnn/tasks.ts. */
  dnnSum(from: number, to: number, size: number, count: number): void;
  /** Into how many parts a sum or maximum splits its middle axis; see assembly/reductions.ts. */
  reductionParts(): number;
  /** See assembly/reductions.ts. */
  sum(): void;
  /** See assembly/reductions.ts. */
  maximum(): void;
  /** See assembly/reductions.ts. */
  argmax(): void;
  /** See assembly/reductions.ts. */
  logsumexp(): void;
  /** See assembly/reductions.ts. */
  softmax(): void;
  /** See assembly/reductions.ts. */
  kthValue(): void;
  /** See assembly/normalization.ts. */
  normalize(): void;
  /** See assembly/normalization.ts. */
  normalizeGradient(): void;
  /** See assembly/group_norm.ts. */
  groupNorm(): void;
  /** See assembly/group_norm.ts. */
  groupNormGradient(): void;
  /** Into how many parts the sums for the parameters' gradients are split; see assembly/group_norm.ts. */
  groupNormParts(): number;
  /** See assembly/group_norm.ts. */
  groupNormParameterGradient(partials: number): void;
  /** See assembly/attention.ts. */
  attention(): void;
  /** See assembly/short_attention.ts. */
  shortAttention(): void;
  /** See assembly/one_query.ts. */
  oneQueryAttention(): void;
  /** See assembly/short_attention.ts. */
  shortAttentionGradient(): void;
  /** See assembly/optimizer.ts. */
  adam(): void;
  /** See assembly/movement.ts. */
  move(): void;
  /** See assembly/pooling.ts. */
  averagePool(): void;
  /** See assembly/pooling.ts. */
  averagePoolGradient(): void;
  /** See assembly/max_pool.ts. */
  maxPool(): void;
  /** See assembly/max_pool.ts. */
  maxPoolGradient(): void;
  /** See assembly/codes.ts. */
  gather(): void;
  /** See assembly/codes.ts. */
  segmentSum(): void;
  /** See assembly/codes.ts. */
  segmentCount(): void;
  /** See assembly/cross_entropy.ts. */
  crossEntropy(): void;
  /** See assembly/cross_entropy.ts. */
  crossEntropyGradient(): void;
  /** See assembly/nearest.ts. */
  nearest(): void;
  /** See assembly/random.ts. */
  uniform(low: number, high: number): void;
  /** See assembly/random.ts. */
  normal(mean: number, deviation: number): void;
  /** Elementwise operations; see assembly/unary.ts, binary.ts and elementwise.ts. */
  readonly [name: MapName]: () => void;
}
