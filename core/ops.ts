/** The list of all operations, each with its attributes, its shape rule and its gradient.
 *
 * The list is small and canonical. Reductions work on `[outer, count, inner]` along the middle axis, matrix products on
 * `[batch, rows, columns]`, normalisation on `[batch, positions, channels]`; `core/functions/` offers the same for any
 * axes, by reshaping (which is free). A device implements every name of `Kernels`.
 */
import {
  broadcastShapes,
  broadcastStrides,
  checkShape,
  type DType,
  sameShape,
  type Shape,
  showShape,
  sizeOf,
  type Spec,
} from "./shape.ts";
import type { Precision } from "./precision.ts";
import type { RandomKey } from "./random.ts";

/** No attributes. */
export type None = Readonly<Record<never, never>>;

/** Height and width. */
export type Pair = readonly [number, number];

/** How a convolution's window moves: each a pair for height and width. */
export interface ConvAttributes {
  /** The step in input pixels between neighbouring outputs. */
  readonly stride: Pair;
  /** Zeros around the input, on both sides. */
  readonly padding: Pair;
  /** The step in input pixels between kernel taps. */
  readonly dilation: Pair;
}

/** How a pooling window moves. */
export interface PoolAttributes {
  /** The size of the window. */
  readonly size: Pair;
  /** The step in input pixels between neighbouring outputs. */
  readonly stride: Pair;
  /** Pixels around the input. They count as zeros in an average, and are never the maximum. */
  readonly padding: Pair;
}

/** The measure of nearness: smallest squared distance, or largest cosine. */
export type Distance = "l2" | "cos";

/** Attributes of attention. */
export interface AttentionAttributes {
  /** Query i of S sees the keys 0 … i + T − S: the last query sees the last key. */
  readonly causal: boolean;
  /** The scale of the products of queries and keys. */
  readonly scale: number;
}

/** Attributes of a group norm. */
export interface GroupNormAttributes {
  /** The number of groups of neighbouring channels. */
  readonly groups: number;
  /** Whether to subtract the mean; if not (RMS normalisation), the mean counts as 0. */
  readonly centred: boolean;
  /** Whether to apply SiLU, u/(1 + e⁻ᵘ), to the result. */
  readonly silu: boolean;
}

/** Every operation and its attributes. Types are float32 unless said otherwise; "same" = both operands of one dtype. */
export interface Attributes {
  // Elementwise, two operands, broadcasting. float32 or int32 (same); div and pow float32 only.
  /** a + b. */
  add: None;
  /** a − b. */
  sub: None;
  /** a·b. */
  mul: None;
  /** a/b. */
  div: None;
  /** aᵇ, as Math.pow. */
  pow: None;
  /** The larger of a and b; NaN if either is NaN. */
  maximum: None;
  /** The smaller of a and b; NaN if either is NaN. */
  minimum: None;
  // Comparisons, broadcasting, same → int32 0 or 1. Every comparison with NaN is 0, notEqual is 1.
  /** a = b. */
  equal: None;
  /** a ≠ b. */
  notEqual: None;
  /** a < b. */
  less: None;
  /** a ≤ b. */
  lessEqual: None;
  /** a > b. */
  greater: None;
  /** a ≥ b. */
  greaterEqual: None;
  /** (condition int32, a, b) → a where the condition is not 0, else b; all three broadcast. */
  where: None;
  // Elementwise, one operand, float32.
  /** eˣ. */
  exp: None;
  /** ln x. */
  log: None;
  /** √x. */
  sqrt: None;
  /** x². */
  square: None;
  /** |x|. */
  abs: None;
  /** −1, 0 or 1. */
  sign: None;
  /** Hyperbolic tangent. */
  tanh: None;
  /** 1/(1 + e⁻ˣ). */
  sigmoid: None;
  /** The error function. */
  erf: None;
  /** x·Φ(x), Φ the standard normal cumulative distribution function. */
  gelu: None;
  /** max(x, 0); NaN stays NaN. */
  relu: None;
  /** x where positive, else slope·x. */
  leakyRelu: { readonly slope: number };
  /** x clamped to [low, high]; NaN stays NaN. */
  clamp: { readonly low: number; readonly high: number };
  /** x·scale + shift. */
  affine: { readonly scale: number; readonly shift: number };
  /** (y, g) of one shape → g where y > 0, else 0. */
  reluGradient: None;
  /** (x, g) of one shape → g·(Φ(x) + x·φ(x)), φ the standard normal density. */
  geluGradient: None;
  /** Between float32 and int32; the conversion to int32 truncates towards zero, saturates, and turns NaN into 0. */
  cast: { readonly dtype: DType };

  // Reductions over the middle axis of [outer, count, inner].
  /** → [outer, inner]. */
  sum: None;
  /** → [outer, inner]; NaN if any is NaN. */
  max: None;
  /** → int32 [outer, inner]; the lowest index of the maximum; NaN is never the maximum. */
  argmax: None;
  /** → [outer, inner]; ln Σ exp, computed from the maximum. */
  logsumexp: None;
  /** → [outer, count, inner]; sums to 1 over the middle axis. */
  softmax: None;
  /** → [outer, inner]; the element of ascending rank `rank` (0 is the smallest) along the middle axis; NaN ranks
   * last. */
  kthValue: { readonly rank: number };

  /** [B, M, K] × [B, K, N] → [B, M, N]; a transposed operand is stored as [B, K, M] or [B, N, K]; B may be 1 on one
   * side. Its operands, and those of its gradient, are rounded only if both `precision` and the device's precision are
   * "mixed". */
  matmul: {
    readonly transposeA: boolean;
    readonly transposeB: boolean;
    readonly precision?: Precision;
  };
  /** (x [B, H, W, Cin], w [KH, KW, Cin, Cout], bias? [Cout]) → [B, H', W', Cout], then optionally relu. */
  conv2d: ConvAttributes & { readonly relu: boolean };
  /** The adjoint of conv2d in x: (g [B, H', W', Cout], w [KH, KW, Cin, Cout], bias? [Cin]) → [B, H, W, Cin], then
   * optionally relu; `outputSize` is [H, W]. */
  convTranspose2d: ConvAttributes & { readonly outputSize: Pair; readonly relu: boolean };
  /** The adjoint of conv2d in w: (x [B, H, W, Cin], g [B, H', W', Cout]) → [KH, KW, Cin, Cout]. */
  conv2dFilter: ConvAttributes & { readonly kernelSize: Pair };
  /** x [B, S, C] → (x̂ [B, S, C], 1/σ [B, G]): x̂ = (x − mean)/σ, σ² = variance + epsilon over S and the C/G
   * channels of a group (neighbouring channels). Layer normalisation is S = G = 1. */
  normalize: { readonly groups: number; readonly epsilon: number };
  /** (x̂, 1/σ, g) → (g − mean g − x̂·mean(g·x̂))/σ, the means over each group. */
  normalizeGradient: { readonly groups: number };
  /** (x [B, S, C], gain [C], shift? [C]) → (y [B, S, C], statistics [B, G, 2]): y = gain·(x − mean)/σ + shift, then
   * optionally SiLU; mean and σ² = variance + epsilon as in normalize; the statistics are mean and 1/σ. */
  groupNorm: GroupNormAttributes & { readonly epsilon: number };
  /** (x, statistics, g, gain, shift?) → x's gradient. */
  groupNormGradient: GroupNormAttributes;
  /** (x, statistics, g, gain, shift?) → [2, C]: the gradients of gain and shift. */
  groupNormParameterGradient: GroupNormAttributes;
  /** (q [B, S, H, D], k [B, T, H, D], v [B, T, H, D], visible? int32 [S]) → (y [B, S, H, D], l [B, S, H]): for each
   * head y = Σ pⱼ·vⱼ with p = softmax(scale·q·kⱼ) over the keys that the query sees, and l = ln Σ exp(scale·q·kⱼ). With
   * `visible`, query i sees the keys before visible[i], and those that causal lets it see. For a query that sees no
   * key, the result is zeros and l = 0. The S × T matrix is never in memory. */
  attention: AttentionAttributes;
  /** (q, k, v, g, l, d, visible?) → the gradients of q, k and v; g is the gradient of y, d = Σ g·y over D, [B, S, H]. */
  attentionGradient: AttentionAttributes;

  // Moving data; any dtype.
  /** A view: no kernel, no copy. */
  reshape: { readonly shape: Shape };
  /** (x, values) of one shape → the values, with x's gradient: a view of the second operand, no kernel. */
  straightThrough: None;
  /** Output axis i is input axis permutation[i]. */
  transpose: { readonly permutation: readonly number[] };
  /** The block of `sizes` elements from `starts`. */
  slice: { readonly starts: readonly number[]; readonly sizes: readonly number[] };
  /** Pads with `value`. */
  pad: {
    readonly before: readonly number[];
    readonly after: readonly number[];
    readonly value: number;
  };
  /** To a larger shape, aligned at the last axis. */
  broadcast: { readonly shape: Shape };
  /** One or more operands whose shapes differ only along `axis`. */
  concatenate: { readonly axis: number };
  /** [B, H, W, C] → [B, H·scale₀, W·scale₁, C]. */
  upsampleNearest: { readonly scale: Pair };
  /** [B, H, W, C] → [B, H', W', C]. */
  averagePool: PoolAttributes;
  /** The adjoint of averagePool: [B, H', W', C] → [B, H, W, C]; `inputSize` is [H, W]. */
  averagePoolGradient: PoolAttributes & { readonly inputSize: Pair };
  /** The maximum of each window, [B, H, W, C] → [B, H', W', C]; the padding is never the maximum; NaN if any is NaN. */
  maxPool: PoolAttributes;
  /** (x, y = maxPool x, g of y's shape) → [B, H, W, C]: each window passes its g to the first of its maxima, in row
   * order. */
  maxPoolGradient: PoolAttributes;
  /** A copy in a separate buffer (or, run into an existing tensor, an assignment). */
  copy: None;
  /** One value everywhere. */
  full: { readonly shape: Shape; readonly value: number; readonly dtype: DType };

  // Rows and codes. An index out of range reads zeros and writes nothing.
  /** (table [R, D], indices int32 [n]) → [n, D]. */
  gather: None;
  /** (values [n, D], indices int32 [n]) → [segments, D]: the sum of each segment's rows, in order of n. */
  segmentSum: { readonly segments: number };
  /** indices int32 [n] → int32 [segments]. */
  segmentCount: { readonly segments: number };
  /** (queries [N, D], keys [K, D]) → int32 [N]: the index of the most similar key; on a tie the highest index (the last
   * one in an ascending sort); 0 if all similarities are NaN. Similarities are float32, so codes closer together than
   * float32 resolves count as equal: (−‖q‖² − ‖k‖²) + 2·q·k ("l2"), or the product of the rows divided by max(‖·‖,
   * 1e−12) ("cos"). With `noise`, Gumbel noise is added to each similarity: query n, key k takes word k % 4 of block
   * ⌊k/4⌋ in row n. The result is then a sample from softmax(similarity) (the Gumbel-max trick). The N × K matrix is
   * never in memory. */
  nearest: { readonly distance: Distance; readonly noise?: RandomKey };

  /** (logits [N, V], targets int32 [N]) → [N]: −Σ q·ln softmax(logits), where q is smoothing/V for every class, plus
   * 1 − smoothing for the target. 0 for a target below 0, NaN for a target of V or more. */
  crossEntropy: { readonly smoothing: number };
  /** (logits [N, V], targets int32 [N], g [N]) → [N, V]: g·(softmax(logits) − q); 0 for a target below 0, NaN for one of
   * V or more. */
  crossEntropyGradient: { readonly smoothing: number };

  // Random numbers: random.ts defines which word makes which element.
  /** float32 in [low, high]. */
  uniform: {
    readonly shape: Shape;
    readonly key: RandomKey;
    readonly low: number;
    readonly high: number;
  };
  /** float32, with a mean and a standard deviation. */
  normal: {
    readonly shape: Shape;
    readonly key: RandomKey;
    readonly mean: number;
    readonly deviation: number;
  };
  /** → int32 [length], made by `permutation` of random.ts on the host. */
  permutation: { readonly length: number; readonly key: RandomKey };

  /** The gradients of all parameters → into (all parameters, all m, all v), updated in place: with
   * g′ = g + regularization·p, m ← β₁m + (1 − β₁)g′; v ← β₂v + (1 − β₂)g′²;
   * p ← p·(1 − decay) − rate·m/(√v/correction + ε), where rate = lr/(1 − β₁ᵗ) and correction = √(1 − β₂ᵗ). */
  adam: {
    readonly rate: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly correction: number;
    readonly epsilon: number;
    readonly regularization: number;
    readonly decay: number;
  };
}

/** The name of an operation. */
export type OperationName = keyof Attributes;

/** Operations that only reinterpret memory: no device has a kernel for them. */
export type ViewName = "reshape" | "straightThrough";

/** The operations whose output elements depend only on the operands' elements at the same position. */
export type ElementwiseName =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "pow"
  | "maximum"
  | "minimum"
  | "equal"
  | "notEqual"
  | "less"
  | "lessEqual"
  | "greater"
  | "greaterEqual"
  | "where"
  | "exp"
  | "log"
  | "sqrt"
  | "square"
  | "abs"
  | "sign"
  | "tanh"
  | "sigmoid"
  | "erf"
  | "gelu"
  | "relu"
  | "leakyRelu"
  | "clamp"
  | "affine"
  | "reluGradient"
  | "geluGradient"
  | "cast";

/** The operations that move elements, and pooling. */
export type MovementName =
  | "transpose"
  | "slice"
  | "pad"
  | "broadcast"
  | "concatenate"
  | "upsampleNearest"
  | "averagePool"
  | "averagePoolGradient"
  | "copy"
  | "full";

/** Normalisation over groups. */
export type NormalizationName =
  | "normalize"
  | "normalizeGradient"
  | "groupNorm"
  | "groupNormGradient"
  | "groupNormParameterGradient";

/** Attention and its gradients. */
export type AttentionName = "attention" | "attentionGradient";

/** Max pooling and its gradient. */
export type MaxPoolName = "maxPool" | "maxPoolGradient";

/** The cross-entropy of rows, and its gradient. */
export type CrossEntropyName = "crossEntropy" | "crossEntropyGradient";

/** Runs an operation inside a gradient rule and returns its first output. */
export type Apply<T extends Spec> = <N extends OperationName>(
  name: N,
  inputs: readonly T[],
  attributes: Attributes[N],
) => T;

/** Runs an operation inside a gradient rule and returns all its outputs. */
export type ApplyAll<T extends Spec> = <N extends OperationName>(
  name: N,
  inputs: readonly T[],
  attributes: Attributes[N],
) => readonly T[];

/** The input of a gradient rule. */
export interface GradientCall<T extends Spec, A> {
  /** The operation's inputs. */
  readonly inputs: readonly T[];
  /** Its outputs. */
  readonly outputs: readonly T[];
  /** Its attributes. */
  readonly attributes: A;
  /** The gradient of the loss with respect to the first output. */
  readonly upstream: T;
  /** The gradients of the loss with respect to all outputs; undefined for outputs that it does not depend on. */
  readonly upstreams: readonly (T | undefined)[];
  /** Which inputs need a gradient; the others may be left undefined. */
  readonly needed: readonly boolean[];
  /** Runs operations. */
  readonly apply: Apply<T>;
  /** The same, and returns all outputs. */
  readonly applyAll: ApplyAll<T>;
}

/** One entry of the list. */
export interface Operation<A> {
  /** The specs of the outputs.
   * @throws {TypeError} a shape or dtype is not allowed
   * @throws {RangeError} an attribute is not allowed
   */
  outputs(inputs: readonly Spec[], attributes: A): readonly Spec[];
  /** The gradients of the inputs; null if gradients do not pass. */
  readonly gradient:
    | null
    | (<T extends Spec>(call: GradientCall<T, A>) => readonly (T | undefined)[]);
}

// ---- shape rules -------------------------------------------------------------------------------------------

function expect(condition: boolean, action: string, requirement: string, got: string): void {
  if (!condition) throw new TypeError(`Cannot ${action}: ${requirement}, got ${got}`);
}

function show(inputs: readonly Spec[]): string {
  return inputs.map(({ shape, dtype }) => `${dtype} ${showShape(shape)}`).join(" and ");
}

function expectInputs(
  inputs: readonly Spec[],
  action: string,
  ...wanted: readonly { rank?: number; dtype?: DType; name: string }[]
): void {
  expect(
    inputs.length === wanted.length,
    action,
    `${wanted.length} operands are needed`,
    `${inputs.length}`,
  );
  wanted.forEach(({ rank, dtype, name }, index) => {
    const input = inputs[index];
    const good = (rank === undefined || input.shape.length === rank) &&
      (dtype === undefined || input.dtype === dtype);
    expect(
      good,
      action,
      `${name} must be ${dtype ?? "a tensor"}${rank === undefined ? "" : ` of ${rank} axes`}`,
      show([input]),
    );
  });
}

const float = (shape: Shape): Spec => ({ shape, dtype: "float32" });
const int = (shape: Shape): Spec => ({ shape, dtype: "int32" });

/** The shape rule for the gradient of an elementwise operation. Its operands are the tensor that it is computed from,
 * and the upstream gradient. */
function slopeRule(action: string, name: string): (inputs: readonly Spec[]) => readonly Spec[] {
  return (inputs) => {
    const given = [name, "the gradient"].map((name) => ({ dtype: "float32", name }) as const);
    expectInputs(inputs, action, ...given);
    const [{ shape }, gradient] = inputs;
    expect(sameShape(shape, gradient.shape), action, "both must have the same shape", show(inputs));
    return [float(shape)];
  };
}

function unaryRule(action: string): (inputs: readonly Spec[]) => readonly Spec[] {
  return (inputs) => {
    expectInputs(inputs, action, { dtype: "float32", name: "the operand" });
    return [float(inputs[0].shape)];
  };
}

function binaryRule(
  action: string,
  options: { integers: boolean; output?: DType },
): (inputs: readonly Spec[]) => readonly Spec[] {
  return (inputs) => {
    expectInputs(inputs, action, { name: "the left side" }, { name: "the right side" });
    const [a, b] = inputs;
    expect(
      a.dtype === b.dtype && (options.integers || a.dtype === "float32"),
      action,
      options.integers ? "both sides must have the same dtype" : "both sides must be float32",
      show(inputs),
    );
    return [{
      shape: broadcastShapes(a.shape, b.shape, action),
      dtype: options.output ?? a.dtype,
    }];
  };
}

function reductionRule(
  action: string,
  output: (shape: Shape) => Spec = ([outer, , inner]) => float([outer, inner]),
): (inputs: readonly Spec[]) => readonly Spec[] {
  return (inputs) => {
    expectInputs(inputs, action, { rank: 3, dtype: "float32", name: "the operand" });
    return [output(inputs[0].shape)];
  };
}

/** Output length of a window that moves over `length` pixels. */
export function windowCount(
  length: number,
  size: number,
  stride: number,
  padding: number,
  dilation = 1,
): number {
  return Math.floor((length + 2 * padding - dilation * (size - 1) - 1) / stride) + 1;
}

function checkWindow(
  action: string,
  { stride, padding, dilation }: { stride: Pair; padding: Pair; dilation?: Pair },
): void {
  const good = [...stride, ...(dilation ?? [1])].every((n) => Number.isInteger(n) && n >= 1) &&
    padding.every((n) => Number.isInteger(n) && n >= 0);
  if (!good) {
    throw new RangeError(
      `Cannot ${action}: stride and dilation must be positive integers and padding not negative, got stride ${
        showShape(stride)
      }, padding ${showShape(padding)}, dilation ${showShape(dilation ?? [1, 1])}`,
    );
  }
}

/** Shape of conv2d's output for an input [B, H, W, Cin] and a filter [KH, KW, Cin, Cout]. */
function convShape(x: Shape, w: Shape, { stride, padding, dilation }: ConvAttributes): Shape {
  return [
    x[0],
    windowCount(x[1], w[0], stride[0], padding[0], dilation[0]),
    windowCount(x[2], w[1], stride[1], padding[1], dilation[1]),
    w[3],
  ];
}

function convInputs(
  inputs: readonly Spec[],
  action: string,
  channelAxis: number,
  biasAxis: number,
): void {
  const bias = inputs.length === 3
    ? [{ rank: 1, dtype: "float32", name: "the bias" } as const]
    : [];
  expectInputs(
    inputs,
    action,
    { rank: 4, dtype: "float32", name: "the images" },
    { rank: 4, dtype: "float32", name: "the filter" },
    ...bias,
  );
  const [x, w, b] = inputs;
  expect(
    x.shape[3] === w.shape[channelAxis],
    action,
    `the images' channels must be the filter's axis ${channelAxis} (${w.shape[channelAxis]})`,
    show(inputs),
  );
  expect(
    b === undefined || b.shape[0] === w.shape[biasAxis],
    action,
    `the bias must have ${w.shape[biasAxis]} elements`,
    show(inputs),
  );
}

function permuted(shape: Shape, permutation: readonly number[]): Shape {
  const sorted = [...permutation].sort((a, b) => a - b);
  expect(
    permutation.length === shape.length && sorted.every((axis, index) => axis === index),
    "transpose",
    `the permutation must name each axis of ${showShape(shape)} once`,
    showShape(permutation),
  );
  return permutation.map((axis) => shape[axis]);
}

function checkGroups(action: string, groups: number, channels: number): void {
  if (Number.isInteger(groups) && groups >= 1 && channels % groups === 0) return;
  throw new RangeError(
    `Cannot ${action}: the groups must divide the ${channels} channels, got ${groups}`,
  );
}

/** Checks the operands of attention: queries, keys, values, and how many keys each query sees. */
function attentionInputs(inputs: readonly Spec[]): void {
  const action = "attend";
  const visible = inputs.length === 4
    ? [{ rank: 1, dtype: "int32", name: "the numbers of visible keys" } as const]
    : [];
  expectInputs(
    inputs,
    action,
    { rank: 4, dtype: "float32", name: "the queries" },
    { rank: 4, dtype: "float32", name: "the keys" },
    { rank: 4, dtype: "float32", name: "the values" },
    ...visible,
  );
  const [q, k, v] = inputs.map(({ shape }) => shape);
  expect(
    sameShape(k, v) && sameShape([q[0], ...q.slice(2)], [k[0], ...k.slice(2)]),
    action,
    "queries [B, S, H, D], keys and values [B, T, H, D] must agree",
    show(inputs.slice(0, 3)),
  );
  expect(
    inputs.length === 3 || inputs[3].shape[0] === q[1],
    action,
    `each of the ${q[1]} queries needs one number of visible keys`,
    show(inputs.slice(3)),
  );
}

/** Checks the operand and the window of a pooling, and returns the shape of its output. */
function pooledShape(inputs: readonly Spec[], attributes: PoolAttributes, action: string): Shape {
  const { size, stride, padding } = attributes;
  expectInputs(inputs, action, { rank: 4, dtype: "float32", name: "the images" });
  checkWindow(action, attributes);
  checkShape(size, action);
  const [batch, height, width, channels] = inputs[0].shape;
  const shape = [
    batch,
    windowCount(height, size[0], stride[0], padding[0]),
    windowCount(width, size[1], stride[1], padding[1]),
    channels,
  ];
  expect(
    shape.every((length) => length >= 1),
    action,
    `the padded images must be at least as large as the window ${showShape(size)}`,
    show(inputs),
  );
  return shape;
}

/** Checks the operands that the cross-entropy and its gradient share. */
function checkCrossEntropy([logits, targets]: readonly Spec[], smoothing: number): void {
  const action = "take the cross-entropy";
  expect(
    logits.shape.length === 2 && logits.dtype === "float32" && targets.dtype === "int32" &&
      sameShape(targets.shape, [logits.shape[0]]),
    action,
    "logits must be float32 [N, classes] and targets int32 [N]",
    show([logits, targets]),
  );
  if (!(smoothing >= 0 && smoothing <= 1)) {
    throw new RangeError(`Cannot ${action}: the smoothing must be in [0, 1], got ${smoothing}`);
  }
}

// ---- gradient pieces ---------------------------------------------------------------------------------------

/** Sums `value` over the axes along which a tensor of `shape` was broadcast to it. */
function sumTo<T extends Spec>(apply: Apply<T>, value: T, shape: Shape): T {
  if (sameShape(value.shape, shape)) return value;
  const strides = broadcastStrides(shape, value.shape);
  let current = value;
  // Each run of neighbouring broadcast axes needs one canonical sum. Goes from the last run to the first.
  for (let end = strides.length; end > 0;) {
    if (strides[end - 1] !== 0 || value.shape[end - 1] === 1) {
      end--;
      continue;
    }
    let start = end;
    while (start > 0 && (strides[start - 1] === 0 || value.shape[start - 1] === 1)) start--;
    const count = sizeOf(value.shape.slice(start, end));
    const outer = sizeOf(value.shape.slice(0, start));
    const inner = sizeOf(current.shape) / (outer * count);
    current = apply("reshape", [current], { shape: [outer, count, inner] });
    current = apply("sum", [current], {});
    end = start;
  }
  return apply("reshape", [current], { shape });
}

/** Repeats the result of a canonical reduction [outer, inner] over [outer, count, inner]. */
function spread<T extends Spec>(apply: Apply<T>, value: T, shape: Shape): T {
  const narrow = apply("reshape", [value], { shape: [shape[0], 1, shape[2]] });
  return apply("broadcast", [narrow], { shape });
}

/** Sums [batch, positions, channels] over the positions and the channels of each group → [batch, groups]. */
function groupSum<T extends Spec>(apply: Apply<T>, value: T, groups: number): T {
  const [batch, positions, channels] = value.shape;
  const shape = [batch, positions, groups, channels / groups];
  const sums = sumTo(apply, apply("reshape", [value], { shape }), [batch, 1, groups, 1]);
  return apply("reshape", [sums], { shape: [batch, groups] });
}

/** Repeats [batch, groups] over the positions and channels of a tensor of `shape`, [batch, positions, channels]. */
function groupSpread<T extends Spec>(apply: Apply<T>, value: T, shape: Shape): T {
  const [batch, positions, channels] = shape, groups = value.shape[1];
  const narrow = apply("reshape", [value], { shape: [batch, 1, groups, 1] });
  const wide = apply("broadcast", [narrow], {
    shape: [batch, positions, groups, channels / groups],
  });
  return apply("reshape", [wide], { shape });
}

type Local = <T extends Spec>(call: GradientCall<T, None>) => T;

/** A one-operand gradient: upstream times the local derivative. */
function times(local: Local): Operation<None>["gradient"] {
  return (call) => [call.apply("mul", [call.upstream, local(call)], {})];
}

/** The gradient of `maximum` or `minimum`: all of it goes to the selected operand; on a tie, half to each. */
function extremumGradient(better: "greater" | "less"): Operation<None>["gradient"] {
  return ({ apply, inputs: [a, b], upstream, needed }) => {
    const share = <T extends Spec>(run: Apply<T>, x: T, y: T, g: T): T => {
      const wins = run("cast", [run(better, [x, y], {})], { dtype: "float32" });
      const ties = run("cast", [run("equal", [x, y], {})], { dtype: "float32" });
      const weight = run("add", [wins, run("affine", [ties], { scale: 0.5, shift: 0 })], {});
      return sumTo(run, run("mul", [g, weight], {}), x.shape);
    };
    return [
      needed[0] ? share(apply, a, b, upstream) : undefined,
      needed[1] ? share(apply, b, a, upstream) : undefined,
    ];
  };
}

const unary = (name: OperationName, gradient: Operation<None>["gradient"]): Operation<None> => ({
  outputs: unaryRule(name),
  gradient,
});

const comparison = (name: OperationName): Operation<None> => ({
  outputs: binaryRule(name, { integers: true, output: "int32" }),
  gradient: null,
});

// ---- the list ----------------------------------------------------------------------------------------------

/** The gradient of an operation's gradient, for operations without a second derivative. */
const notTwice = (name: OperationName) => (): never => {
  throw new TypeError(`Cannot backpropagate: ${name} has no second derivative`);
};

/** The table of operations. A missing entry is a compile error. */
export const operations: { readonly [N in OperationName]: Operation<Attributes[N]> } = {
  add: {
    outputs: binaryRule("add", { integers: true }),
    gradient: ({ apply, inputs: [a, b], upstream, needed }) => [
      needed[0] ? sumTo(apply, upstream, a.shape) : undefined,
      needed[1] ? sumTo(apply, upstream, b.shape) : undefined,
    ],
  },
  sub: {
    outputs: binaryRule("sub", { integers: true }),
    gradient: ({ apply, inputs: [a, b], upstream, needed }) => [
      needed[0] ? sumTo(apply, upstream, a.shape) : undefined,
      needed[1]
        ? apply("affine", [sumTo(apply, upstream, b.shape)], { scale: -1, shift: 0 })
        : undefined,
    ],
  },
  mul: {
    outputs: binaryRule("mul", { integers: true }),
    gradient: ({ apply, inputs: [a, b], upstream, needed }) => [
      needed[0] ? sumTo(apply, apply("mul", [upstream, b], {}), a.shape) : undefined,
      needed[1] ? sumTo(apply, apply("mul", [upstream, a], {}), b.shape) : undefined,
    ],
  },
  div: {
    outputs: binaryRule("div", { integers: false }),
    gradient: ({ apply, inputs: [a, b], outputs: [y], upstream, needed }) => {
      const byA = apply("div", [upstream, b], {});
      return [
        needed[0] ? sumTo(apply, byA, a.shape) : undefined,
        needed[1]
          ? apply("affine", [sumTo(apply, apply("mul", [byA, y], {}), b.shape)], {
            scale: -1,
            shift: 0,
          })
          : undefined,
      ];
    },
  },
  pow: {
    outputs: binaryRule("pow", { integers: false }),
    gradient: ({ apply, inputs: [a, b], outputs: [y], upstream, needed }) => {
      const byA = () => {
        const power = apply("pow", [a, apply("affine", [b], { scale: 1, shift: -1 })], {});
        const slope = apply("mul", [b, power], {});
        return sumTo(apply, apply("mul", [upstream, slope], {}), a.shape);
      };
      const byB = () => {
        // aᵇ·ln a, and 0 where a is 0
        const zero = apply("full", [], { shape: [], value: 0, dtype: "float32" });
        const slope = apply("mul", [y, apply("log", [a], {})], {});
        const safe = apply("where", [apply("equal", [a, zero], {}), zero, slope], {});
        return sumTo(apply, apply("mul", [upstream, safe], {}), b.shape);
      };
      return [needed[0] ? byA() : undefined, needed[1] ? byB() : undefined];
    },
  },
  maximum: {
    outputs: binaryRule("take the maximum", { integers: true }),
    gradient: extremumGradient("greater"),
  },
  minimum: {
    outputs: binaryRule("take the minimum", { integers: true }),
    gradient: extremumGradient("less"),
  },
  equal: comparison("equal"),
  notEqual: comparison("notEqual"),
  less: comparison("less"),
  lessEqual: comparison("lessEqual"),
  greater: comparison("greater"),
  greaterEqual: comparison("greaterEqual"),
  where: {
    outputs: (inputs) => {
      const action = "choose with where";
      expectInputs(
        inputs,
        action,
        { dtype: "int32", name: "the condition" },
        { name: "the first choice" },
        { name: "the second choice" },
      );
      const [condition, a, b] = inputs;
      expect(a.dtype === b.dtype, action, "both choices must have the same dtype", show([a, b]));
      const choices = broadcastShapes(a.shape, b.shape, action);
      return [{ shape: broadcastShapes(condition.shape, choices, action), dtype: a.dtype }];
    },
    gradient: ({ apply, inputs: [condition, a, b], upstream, needed }) => {
      const zero = apply("full", [], { shape: [], value: 0, dtype: "float32" });
      return [
        undefined,
        needed[1]
          ? sumTo(apply, apply("where", [condition, upstream, zero], {}), a.shape)
          : undefined,
        needed[2]
          ? sumTo(apply, apply("where", [condition, zero, upstream], {}), b.shape)
          : undefined,
      ];
    },
  },
  exp: unary("exp", times(({ outputs: [y] }) => y)),
  log: unary(
    "log",
    ({ apply, inputs: [x], upstream }) => [apply("div", [upstream, x], {})],
  ),
  sqrt: unary("sqrt", ({ apply, outputs: [y], upstream }) => [
    apply("div", [apply("affine", [upstream], { scale: 0.5, shift: 0 }), y], {}),
  ]),
  square: unary(
    "square",
    times(({ apply, inputs: [x] }) => apply("affine", [x], { scale: 2, shift: 0 })),
  ),
  abs: unary("abs", times(({ apply, inputs: [x] }) => apply("sign", [x], {}))),
  sign: unary("sign", null),
  tanh: unary(
    "tanh",
    times(({ apply, outputs: [y] }) =>
      apply("affine", [apply("square", [y], {})], { scale: -1, shift: 1 })
    ),
  ),
  sigmoid: unary(
    "sigmoid",
    times(({ apply, outputs: [y] }) =>
      apply("mul", [y, apply("affine", [y], { scale: -1, shift: 1 })], {})
    ),
  ),
  erf: unary(
    "erf",
    times(({ apply, inputs: [x] }) => {
      const decay = apply("exp", [
        apply("affine", [apply("square", [x], {})], { scale: -1, shift: 0 }),
      ], {});
      return apply("affine", [decay], { scale: 2 / Math.sqrt(Math.PI), shift: 0 });
    }),
  ),
  gelu: unary(
    "gelu",
    ({ apply, inputs: [x], upstream }) => [apply("geluGradient", [x, upstream], {})],
  ),
  relu: unary(
    "relu",
    ({ apply, outputs: [y], upstream }) => [apply("reluGradient", [y, upstream], {})],
  ),
  leakyRelu: {
    outputs: unaryRule("leakyRelu"),
    gradient: ({ apply, inputs: [x], upstream, attributes: { slope } }) => {
      const positive = apply("reluGradient", [x, upstream], {});
      const rest = apply("affine", [apply("sub", [upstream, positive], {})], {
        scale: slope,
        shift: 0,
      });
      return [apply("add", [positive, rest], {})];
    },
  },
  clamp: {
    outputs: (inputs, { low, high }) => {
      if (!(low <= high)) {
        throw new RangeError(`Cannot clamp: low must not exceed high, got ${low} and ${high}`);
      }
      return unaryRule("clamp")(inputs);
    },
    gradient: ({ apply, inputs: [x], outputs: [y], upstream }) => {
      const zero = apply("full", [], { shape: [], value: 0, dtype: "float32" });
      return [apply("where", [apply("equal", [x, y], {}), upstream, zero], {})];
    },
  },
  affine: {
    outputs: unaryRule("scale and shift"),
    gradient: ({ apply, upstream, attributes: { scale } }) => [
      scale === 1 ? upstream : apply("affine", [upstream], { scale, shift: 0 }),
    ],
  },
  reluGradient: {
    outputs: slopeRule("take relu's gradient", "the output"),
    // The output only selects, so its gradient is 0.
    gradient: ({ apply, inputs: [y], upstream }) => [
      undefined,
      apply("reluGradient", [y, upstream], {}),
    ],
  },
  geluGradient: {
    outputs: slopeRule("take gelu's gradient", "the operand"),
    // The slope's slope is φ(x)·(2 − x²).
    gradient: ({ apply, inputs: [x, g], upstream, needed }) => {
      const byOperand = () => {
        const square = apply("square", [x], {});
        const decay = apply("exp", [apply("affine", [square], { scale: -0.5, shift: 0 })], {});
        const scale = 1 / Math.sqrt(2 * Math.PI);
        const curve = apply("affine", [square], { scale: -scale, shift: 2 * scale });
        return apply(
          "mul",
          [apply("mul", [decay, curve], {}), apply("mul", [g, upstream], {})],
          {},
        );
      };
      return [
        needed[0] ? byOperand() : undefined,
        needed[1] ? apply("geluGradient", [x, upstream], {}) : undefined,
      ];
    },
  },
  cast: {
    outputs: (inputs, { dtype }) => {
      expectInputs(inputs, "cast", { name: "the operand" });
      return [{ shape: inputs[0].shape, dtype }];
    },
    gradient: ({ inputs: [x], upstream, attributes: { dtype } }) => [
      x.dtype === "float32" && dtype === "float32" ? upstream : undefined,
    ],
  },

  sum: {
    outputs: reductionRule("sum"),
    gradient: ({ apply, inputs: [x], upstream }) => [spread(apply, upstream, x.shape)],
  },
  max: {
    outputs: reductionRule("take the maximum"),
    // Equal maxima share the gradient evenly.
    gradient: ({ apply, inputs: [x], outputs: [y], upstream }) => {
      const hits = apply("cast", [apply("equal", [x, spread(apply, y, x.shape)], {})], {
        dtype: "float32",
      });
      const share = apply("div", [upstream, apply("sum", [hits], {})], {});
      return [apply("mul", [hits, spread(apply, share, x.shape)], {})];
    },
  },
  argmax: {
    outputs: reductionRule("take the argmax", ([outer, , inner]) => int([outer, inner])),
    gradient: null,
  },
  logsumexp: {
    outputs: reductionRule("take the logsumexp"),
    gradient: ({ apply, inputs: [x], upstream }) => [
      apply("mul", [apply("softmax", [x], {}), spread(apply, upstream, x.shape)], {}),
    ],
  },
  softmax: {
    outputs: reductionRule("take the softmax", float),
    gradient: ({ apply, outputs: [y], upstream }) => {
      const inner = apply("sum", [apply("mul", [y, upstream], {})], {});
      const centred = apply("sub", [upstream, spread(apply, inner, y.shape)], {});
      return [apply("mul", [y, centred], {})];
    },
  },
  kthValue: {
    outputs: (inputs, { rank }) => {
      const action = "take the k-th value";
      const specs = reductionRule(action)(inputs);
      const count = inputs[0].shape[1];
      if (!Number.isInteger(rank) || rank < 0 || rank >= count) {
        throw new RangeError(`Cannot ${action}: the rank must be in [0, ${count}), got ${rank}`);
      }
      return specs;
    },
    gradient: null,
  },

  matmul: {
    outputs: (inputs, { transposeA, transposeB }) => {
      const action = "multiply matrices";
      expectInputs(
        inputs,
        action,
        { rank: 3, dtype: "float32", name: "the left side" },
        { rank: 3, dtype: "float32", name: "the right side" },
      );
      const [a, b] = inputs.map(({ shape }) => shape);
      const [rows, depth] = transposeA ? [a[2], a[1]] : [a[1], a[2]];
      const [depthB, columns] = transposeB ? [b[2], b[1]] : [b[1], b[2]];
      expect(
        depth === depthB && (a[0] === b[0] || a[0] === 1 || b[0] === 1),
        action,
        "the inner axes must agree, and the batches must be equal or 1",
        `${showShape(a)}${transposeA ? " transposed" : ""} and ${showShape(b)}${
          transposeB ? " transposed" : ""
        }`,
      );
      return [float([Math.max(a[0], b[0]), rows, columns])];
    },
    gradient: ({ apply, inputs: [a, b], upstream: g, needed, attributes }) => {
      const { transposeA, transposeB, precision } = attributes;
      const product = (left: typeof a, right: typeof a, tA: boolean, tB: boolean) =>
        apply("matmul", [left, right], { transposeA: tA, transposeB: tB, precision });
      const byA = () =>
        transposeA ? product(b, g, transposeB, true) : product(g, b, false, !transposeB);
      const byB = () =>
        transposeB ? product(g, a, true, transposeA) : product(a, g, !transposeA, false);
      return [
        needed[0] ? sumTo(apply, byA(), a.shape) : undefined,
        needed[1] ? sumTo(apply, byB(), b.shape) : undefined,
      ];
    },
  },
  conv2d: {
    outputs: (inputs, attributes) => {
      const action = "convolve";
      convInputs(inputs, action, 2, 3);
      checkWindow(action, attributes);
      const shape = convShape(inputs[0].shape, inputs[1].shape, attributes);
      expect(
        shape.every((length) => length >= 1),
        action,
        "the padded images must be at least as large as the kernel",
        show(inputs),
      );
      return [float(shape)];
    },
    gradient: ({ apply, inputs: [x, w, b], outputs: [y], upstream, needed, attributes }) => {
      const { relu, ...window } = attributes;
      const g = relu ? apply("reluGradient", [y, upstream], {}) : upstream;
      const outputSize: Pair = [x.shape[1], x.shape[2]];
      const kernelSize: Pair = [w.shape[0], w.shape[1]];
      return [
        needed[0]
          ? apply("convTranspose2d", [g, w], { ...window, outputSize, relu: false })
          : undefined,
        needed[1] ? apply("conv2dFilter", [x, g], { ...window, kernelSize }) : undefined,
        b !== undefined && needed[2] ? sumTo(apply, g, b.shape) : undefined,
      ];
    },
  },
  convTranspose2d: {
    outputs: (inputs, attributes) => {
      const action = "convolve transposed";
      convInputs(inputs, action, 3, 2);
      checkWindow(action, attributes);
      const [g, w] = inputs.map(({ shape }) => shape);
      const shape = [g[0], ...attributes.outputSize, w[2]];
      checkShape(shape, action);
      const back = convShape(shape, w, attributes);
      expect(
        sameShape(back, g),
        action,
        `a convolution of the output ${showShape(shape)} must give the input's shape`,
        `${showShape(g)} instead of ${showShape(back)}`,
      );
      return [float(shape)];
    },
    gradient: ({ apply, inputs: [x, w, b], outputs: [y], upstream, needed, attributes }) => {
      const { relu, outputSize: _, ...window } = attributes;
      const g = relu ? apply("reluGradient", [y, upstream], {}) : upstream;
      const kernelSize: Pair = [w.shape[0], w.shape[1]];
      return [
        needed[0] ? apply("conv2d", [g, w], { ...window, relu: false }) : undefined,
        needed[1] ? apply("conv2dFilter", [g, x], { ...window, kernelSize }) : undefined,
        b !== undefined && needed[2] ? sumTo(apply, g, b.shape) : undefined,
      ];
    },
  },
  conv2dFilter: {
    outputs: (inputs, attributes) => {
      const action = "take a filter's gradient";
      expectInputs(
        inputs,
        action,
        { rank: 4, dtype: "float32", name: "the images" },
        { rank: 4, dtype: "float32", name: "the gradient" },
      );
      checkWindow(action, attributes);
      const [x, g] = inputs.map(({ shape }) => shape);
      const shape = [...attributes.kernelSize, x[3], g[3]];
      expect(
        sameShape(convShape(x, shape, attributes), g),
        action,
        "the gradient must have the convolution's shape",
        show(inputs),
      );
      return [float(shape)];
    },
    gradient: ({ apply, inputs: [x, g], upstream, needed, attributes }) => {
      const { kernelSize: _, ...window } = attributes;
      const outputSize: Pair = [x.shape[1], x.shape[2]];
      return [
        needed[0]
          ? apply("convTranspose2d", [g, upstream], { ...window, outputSize, relu: false })
          : undefined,
        needed[1] ? apply("conv2d", [x, upstream], { ...window, relu: false }) : undefined,
      ];
    },
  },
  normalize: {
    outputs: (inputs, { groups }) => {
      const action = "normalise";
      expectInputs(inputs, action, { rank: 3, dtype: "float32", name: "the operand" });
      const [batch, , channels] = inputs[0].shape;
      checkGroups(action, groups, channels);
      return [float(inputs[0].shape), float([batch, groups])];
    },
    gradient: ({ apply, outputs: [normalized, scale], upstream, upstreams, attributes }) => {
      const { groups } = attributes;
      const byOutput = apply("normalizeGradient", [normalized, scale, upstream], { groups });
      const byScale = upstreams[1];
      if (byScale === undefined) return [byOutput];
      // s = 1/σ: ∂s/∂x = −s²·x̂/n, n elements in a group
      const slope = apply("mul", [byScale, apply("square", [scale], {})], {});
      const count = sizeOf(normalized.shape) / sizeOf(scale.shape);
      const part = apply("affine", [slope], { scale: -1 / count, shift: 0 });
      const share = apply("mul", [groupSpread(apply, part, normalized.shape), normalized], {});
      return [apply("add", [byOutput, share], {})];
    },
  },
  normalizeGradient: {
    outputs: (inputs) => [float(inputs[0].shape)],
    // y = s·(g − mean g − x̂·mean(g·x̂)) with s = 1/σ, u the gradient of y: that of x̂ is −s·(u·mean(g·x̂) +
    // g·mean(u·x̂)), that of s is Σ u·y/s over each group, and that of g is the same operation applied to u.
    gradient: ({ apply, inputs, outputs: [y], upstream: u, needed, attributes: { groups } }) => {
      const [normalized, scale, g] = inputs;
      const count = sizeOf(normalized.shape) / sizeOf(scale.shape);
      const byNormalized = () => {
        const term = (a: typeof u, b: typeof u): typeof u => {
          const mean = apply("affine", [
            groupSum(apply, apply("mul", [b, normalized], {}), groups),
          ], { scale: -1 / count, shift: 0 });
          const factor = apply("mul", [mean, scale], {});
          return apply("mul", [groupSpread(apply, factor, normalized.shape), a], {});
        };
        return apply("add", [term(u, g), term(g, u)], {});
      };
      const byScale = () =>
        apply("div", [groupSum(apply, apply("mul", [u, y], {}), groups), scale], {});
      return [
        needed[0] ? byNormalized() : undefined,
        needed[1] ? byScale() : undefined,
        needed[2] ? apply("normalizeGradient", [normalized, scale, u], { groups }) : undefined,
      ];
    },
  },
  groupNorm: {
    outputs: (inputs, { groups }) => {
      const action = "normalise";
      const shift = inputs.length === 3
        ? [{ rank: 1, dtype: "float32", name: "the shift" } as const]
        : [];
      expectInputs(
        inputs,
        action,
        { rank: 3, dtype: "float32", name: "the operand" },
        { rank: 1, dtype: "float32", name: "the gain" },
        ...shift,
      );
      const [{ shape }, ...parameters] = inputs, channels = shape[2];
      expect(
        parameters.every((parameter) => parameter.shape[0] === channels),
        action,
        `gain and shift must have ${channels} elements`,
        show(parameters),
      );
      checkGroups(action, groups, channels);
      return [float(shape), float([shape[0], groups, 2])];
    },
    gradient: ({ apply, inputs: [x, ...parameters], outputs, upstream, needed, attributes }) => {
      const { epsilon: _, ...rest } = attributes;
      const operands = [x, outputs[1], upstream, ...parameters];
      const channels = x.shape[2];
      const ofX = needed[0] ? apply("groupNormGradient", operands, rest) : undefined;
      if (!needed[1] && !needed[2]) return [ofX, undefined, undefined];
      const both = apply("groupNormParameterGradient", operands, rest);
      const part = (index: number) =>
        apply("reshape", [apply("slice", [both], { starts: [index, 0], sizes: [1, channels] })], {
          shape: [channels],
        });
      return [ofX, needed[1] ? part(0) : undefined, needed[2] ? part(1) : undefined];
    },
  },
  groupNormGradient: { outputs: ([x]) => [float(x.shape)], gradient: notTwice("groupNorm") },
  groupNormParameterGradient: {
    outputs: ([x]) => [float([2, x.shape[2]])],
    gradient: notTwice("groupNorm"),
  },
  attention: {
    outputs: (inputs) => {
      attentionInputs(inputs);
      return [float(inputs[0].shape), float(inputs[0].shape.slice(0, 3))];
    },
    gradient: ({ apply, applyAll, inputs, outputs, upstream, attributes }) => {
      const [q, k, v, ...visible] = inputs;
      const [y, logsumexps] = outputs;
      const rows = [sizeOf(logsumexps.shape), q.shape[3], 1];
      const products = apply("reshape", [apply("mul", [upstream, y], {})], { shape: rows });
      const totals = apply("reshape", [apply("sum", [products], {})], { shape: logsumexps.shape });
      const operands = [q, k, v, upstream, logsumexps, totals, ...visible];
      return applyAll("attentionGradient", operands, attributes);
    },
  },
  attentionGradient: {
    outputs: (inputs) => inputs.slice(0, 3).map(({ shape }) => float(shape)),
    gradient: notTwice("attention"),
  },

  reshape: {
    outputs: (inputs, { shape }) => {
      expectInputs(inputs, "reshape", { name: "the operand" });
      checkShape(shape, "reshape");
      expect(
        sizeOf(shape) === sizeOf(inputs[0].shape),
        "reshape",
        `the new shape must hold ${sizeOf(inputs[0].shape)} elements`,
        `${showShape(inputs[0].shape)} to ${showShape(shape)}`,
      );
      return [{ shape, dtype: inputs[0].dtype }];
    },
    gradient: ({ apply, inputs: [x], upstream }) => [
      apply("reshape", [upstream], { shape: x.shape }),
    ],
  },
  straightThrough: {
    outputs: (inputs) => {
      const action = "pass gradients straight through";
      expectInputs(
        inputs,
        action,
        { dtype: "float32", name: "the operand" },
        { dtype: "float32", name: "the values" },
      );
      expect(
        sameShape(inputs[0].shape, inputs[1].shape),
        action,
        "both must have the same shape",
        show(inputs),
      );
      return [inputs[1]];
    },
    gradient: ({ upstream }) => [upstream, undefined],
  },
  transpose: {
    outputs: (inputs, { permutation }) => {
      expectInputs(inputs, "transpose", { name: "the operand" });
      return [{ shape: permuted(inputs[0].shape, permutation), dtype: inputs[0].dtype }];
    },
    gradient: ({ apply, upstream, attributes: { permutation } }) => {
      const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
      return [apply("transpose", [upstream], { permutation: inverse })];
    },
  },
  slice: {
    outputs: (inputs, { starts, sizes }) => {
      expectInputs(inputs, "slice", { name: "the operand" });
      const { shape, dtype } = inputs[0];
      checkShape(sizes, "slice");
      const inside = starts.length === shape.length && sizes.length === shape.length &&
        starts.every((start, axis) =>
          Number.isInteger(start) && start >= 0 && start + sizes[axis] <= shape[axis]
        );
      if (!inside) {
        throw new RangeError(
          `Cannot slice: starts and sizes must lie within ${showShape(shape)}, got ${
            showShape(starts)
          } and ${showShape(sizes)}`,
        );
      }
      return [{ shape: sizes, dtype }];
    },
    gradient: ({ apply, inputs: [x], upstream, attributes: { starts, sizes } }) => [
      apply("pad", [upstream], {
        before: starts,
        after: x.shape.map((length, axis) => length - starts[axis] - sizes[axis]),
        value: 0,
      }),
    ],
  },
  pad: {
    outputs: (inputs, { before, after }) => {
      expectInputs(inputs, "pad", { name: "the operand" });
      const { shape, dtype } = inputs[0];
      const good = [before, after].every((counts) =>
        counts.length === shape.length && counts.every((n) => Number.isInteger(n) && n >= 0)
      );
      if (!good) {
        throw new RangeError(
          `Cannot pad: before and after must give ${shape.length} counts that are not negative, got ${
            showShape(before)
          } and ${showShape(after)}`,
        );
      }
      return [{ shape: shape.map((length, axis) => before[axis] + length + after[axis]), dtype }];
    },
    gradient: ({ apply, inputs: [x], upstream, attributes: { before } }) => [
      apply("slice", [upstream], { starts: before, sizes: x.shape }),
    ],
  },
  broadcast: {
    outputs: (inputs, { shape }) => {
      expectInputs(inputs, "broadcast", { name: "the operand" });
      checkShape(shape, "broadcast");
      expect(
        sameShape(broadcastShapes(inputs[0].shape, shape, "broadcast"), shape),
        "broadcast",
        `the operand must fit ${showShape(shape)}`,
        showShape(inputs[0].shape),
      );
      return [{ shape, dtype: inputs[0].dtype }];
    },
    gradient: ({ apply, inputs: [x], upstream }) => [sumTo(apply, upstream, x.shape)],
  },
  concatenate: {
    outputs: (inputs, { axis }) => {
      const action = "concatenate";
      expect(inputs.length >= 1, action, "at least one operand is needed", "none");
      const [first] = inputs;
      for (const { shape, dtype } of inputs) {
        const alike = dtype === first.dtype && shape.length === first.shape.length &&
          shape.every((length, at) => at === axis || length === first.shape[at]);
        expect(
          alike && axis >= 0 && axis < shape.length,
          action,
          `the operands' shapes may differ only on axis ${axis}`,
          show(inputs),
        );
      }
      const total = inputs.reduce((sum, { shape }) => sum + shape[axis], 0);
      return [{
        shape: first.shape.map((length, at) => at === axis ? total : length),
        dtype: first.dtype,
      }];
    },
    gradient: ({ apply, inputs, upstream, needed, attributes: { axis } }) => {
      let start = 0;
      return inputs.map(({ shape }, index) => {
        const starts = shape.map((_, at) => at === axis ? start : 0);
        start += shape[axis];
        return needed[index] ? apply("slice", [upstream], { starts, sizes: shape }) : undefined;
      });
    },
  },
  upsampleNearest: {
    outputs: (inputs, { scale }) => {
      expectInputs(inputs, "upsample", { rank: 4, dtype: "float32", name: "the images" });
      checkShape(scale, "upsample");
      const [batch, height, width, channels] = inputs[0].shape;
      return [float([batch, height * scale[0], width * scale[1], channels])];
    },
    gradient: ({ apply, upstream, attributes: { scale } }) => {
      const mean = apply("averagePool", [upstream], {
        size: scale,
        stride: scale,
        padding: [0, 0],
      });
      return [apply("affine", [mean], { scale: scale[0] * scale[1], shift: 0 })];
    },
  },
  averagePool: {
    outputs: (inputs, attributes) => {
      return [float(pooledShape(inputs, attributes, "average-pool"))];
    },
    gradient: ({ apply, inputs: [x], upstream, attributes }) => [
      apply("averagePoolGradient", [upstream], {
        ...attributes,
        inputSize: [x.shape[1], x.shape[2]],
      }),
    ],
  },
  averagePoolGradient: {
    outputs: (inputs, { inputSize }) => {
      const [batch, , , channels] = inputs[0].shape;
      return [float([batch, ...inputSize, channels])];
    },
    gradient: ({ apply, upstream, attributes: { inputSize: _, ...window } }) => [
      apply("averagePool", [upstream], window),
    ],
  },
  maxPool: {
    outputs: (inputs, attributes) => {
      const action = "max-pool";
      const { size, padding } = attributes;
      const shape = pooledShape(inputs, attributes, action);
      if (padding.some((length, axis) => 2 * length > size[axis])) {
        throw new RangeError(
          `Cannot ${action}: the padding must be at most half the window ${showShape(size)}, got ${
            showShape(padding)
          }`,
        );
      }
      return [float(shape)];
    },
    gradient: ({ apply, inputs: [x], outputs: [y], upstream, attributes }) => [
      apply("maxPoolGradient", [x, y, upstream], attributes),
    ],
  },
  maxPoolGradient: {
    outputs: ([x]) => [float(x.shape)],
    // The images and their maxima only select, so their gradient is 0.
    gradient: ({ needed }) => needed[2] ? notTwice("maxPool")() : [undefined, undefined, undefined],
  },
  copy: {
    outputs: (inputs) => {
      expectInputs(inputs, "copy", { name: "the operand" });
      return [inputs[0]];
    },
    gradient: ({ upstream }) => [upstream],
  },
  full: {
    outputs: (_, { shape, dtype }) => {
      checkShape(shape, "fill");
      return [{ shape, dtype }];
    },
    gradient: null,
  },

  gather: {
    outputs: (inputs) => {
      expectInputs(
        inputs,
        "gather",
        { rank: 2, name: "the table" },
        { rank: 1, dtype: "int32", name: "the indices" },
      );
      const [table, indices] = inputs;
      return [{ shape: [indices.shape[0], table.shape[1]], dtype: table.dtype }];
    },
    gradient: ({ apply, inputs: [table, indices], upstream }) => [
      apply("segmentSum", [upstream, indices], { segments: table.shape[0] }),
      undefined,
    ],
  },
  segmentSum: {
    outputs: (inputs, { segments }) => {
      const action = "sum by segment";
      expectInputs(
        inputs,
        action,
        { rank: 2, dtype: "float32", name: "the values" },
        { rank: 1, dtype: "int32", name: "the indices" },
      );
      checkShape([segments], action);
      const [values, indices] = inputs;
      expect(
        values.shape[0] === indices.shape[0],
        action,
        "each row needs one index",
        show(inputs),
      );
      return [float([segments, values.shape[1]])];
    },
    gradient: ({ apply, inputs: [, indices], upstream }) => [
      apply("gather", [upstream, indices], {}),
      undefined,
    ],
  },
  segmentCount: {
    outputs: (inputs, { segments }) => {
      const action = "count by segment";
      expectInputs(inputs, action, { rank: 1, dtype: "int32", name: "the indices" });
      checkShape([segments], action);
      return [int([segments])];
    },
    gradient: null,
  },
  nearest: {
    outputs: (inputs) => {
      const action = "find nearest keys";
      expectInputs(
        inputs,
        action,
        { rank: 2, dtype: "float32", name: "the queries" },
        { rank: 2, dtype: "float32", name: "the keys" },
      );
      const [queries, keys] = inputs;
      expect(
        queries.shape[1] === keys.shape[1],
        action,
        "queries and keys must have the same length",
        show(inputs),
      );
      return [int([queries.shape[0]])];
    },
    gradient: null,
  },
  crossEntropy: {
    outputs: (inputs, { smoothing }) => {
      expectInputs(inputs, "take the cross-entropy", { name: "the logits" }, {
        name: "the targets",
      });
      checkCrossEntropy(inputs, smoothing);
      return [float([inputs[0].shape[0]])];
    },
    gradient: ({ apply, inputs: [logits, targets], upstream, attributes }) => [
      apply("crossEntropyGradient", [logits, targets, upstream], attributes),
      undefined,
    ],
  },
  crossEntropyGradient: {
    outputs: (inputs, { smoothing }) => {
      const action = "take the cross-entropy's gradient";
      expectInputs(
        inputs,
        action,
        { name: "the logits" },
        { name: "the targets" },
        { rank: 1, dtype: "float32", name: "the gradient" },
      );
      checkCrossEntropy(inputs, smoothing);
      expect(
        sameShape(inputs[2].shape, inputs[1].shape),
        action,
        "each row needs one gradient",
        show(inputs),
      );
      return [float(inputs[0].shape)];
    },
    // y = g·(p − q), p = softmax(logits), u the gradient of y: that of the logits is p·(g·u − Σ p·g·u), that of g is Σ
    // u·(p − q).
    gradient: ({ apply, inputs: [logits, targets, g], upstream: u, needed, attributes }) => {
      const [rows, classes] = logits.shape, lines = [rows, classes, 1];
      const byLogits = () => {
        const zero = apply("full", [], { shape: [], value: 0, dtype: "float32" });
        const first = apply("full", [], { shape: [], value: 0, dtype: "int32" });
        const counted = apply("where", [apply("less", [targets, first], {}), zero, g], {});
        const column = apply("reshape", [counted], { shape: [rows, 1] });
        const shares = apply("softmax", [apply("reshape", [logits], { shape: lines })], {});
        const scaled = apply("reshape", [apply("mul", [u, column], {})], { shape: lines });
        const mean = apply("sum", [apply("mul", [shares, scaled], {})], {});
        const centred = apply("sub", [scaled, spread(apply, mean, lines)], {});
        return apply("reshape", [apply("mul", [shares, centred], {})], { shape: logits.shape });
      };
      const byG = () => {
        const ones = apply("full", [], { shape: g.shape, value: 1, dtype: "float32" });
        const slope = apply("crossEntropyGradient", [logits, targets, ones], attributes);
        return sumTo(apply, apply("reshape", [apply("mul", [u, slope], {})], { shape: lines }), [
          rows,
          1,
          1,
        ]);
      };
      return [
        needed[0] ? byLogits() : undefined,
        undefined,
        needed[2] ? apply("reshape", [byG()], { shape: g.shape }) : undefined,
      ];
    },
  },
  uniform: {
    outputs: (_, { shape }) => {
      checkShape(shape, "draw uniform numbers");
      return [float(shape)];
    },
    gradient: null,
  },
  normal: {
    outputs: (_, { shape }) => {
      checkShape(shape, "draw normal numbers");
      return [float(shape)];
    },
    gradient: null,
  },
  permutation: {
    outputs: (_, { length }) => {
      checkShape([length], "draw a permutation");
      return [int([length])];
    },
    gradient: null,
  },
  adam: {
    outputs: (inputs) => {
      expect(
        inputs.length >= 1 && inputs.every(({ dtype }) => dtype === "float32"),
        "take an Adam step",
        "the gradients must be one or more float32 tensors",
        inputs.length === 0 ? "none" : show(inputs),
      );
      return [...inputs, ...inputs, ...inputs];
    },
    gradient: null,
  },
};
