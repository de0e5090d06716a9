/** THE table of the operations' tests: one row an operation, each a list of cases. A missing operation is a compile
 * error. `operations_test.ts` checks every case forward and backward on every device. */
import {
  type AttentionAttributes,
  type Attributes,
  type ConvAttributes,
  type Distance,
  type GroupNormAttributes,
  type None,
  type OperationName,
  type Pair,
  windowCount,
} from "../../core/ops.ts";
import { type RandomKey, randomKey } from "../../core/random.ts";
import type { Shape } from "../../core/shape.ts";
import { CANCELLING, EXACT, NORMAL, type Tolerance } from "./agreement.ts";
import type { Row } from "./check_operation.ts";
import { judgeNearest } from "./nearest_judge.ts";
import {
  distinct,
  given,
  givenIntegers,
  integers,
  offGrid,
  onGrid,
  type Operand,
  uniform,
  wholes,
  withValues,
} from "./operands.ts";

/** The cases of every operation. */
export type OperationCases = { readonly [N in OperationName]: readonly Row<Attributes[N]>[] };

// ---- lists that several rows share ---------------------------------------------------------------------------

type Fill = (shape: Shape) => Operand;

const SAME_SHAPES: readonly (readonly [string, Shape, Shape])[] = [
  ["one element", [1], [1]],
  ["one shape", [65, 33], [65, 33]],
  ["a row", [7, 33], [33]],
  ["a column on the left", [7, 1], [7, 33]],
];

const ALL_SHAPES: readonly (readonly [string, Shape, Shape])[] = [
  ...SAME_SHAPES,
  ["two scalars", [], []],
  ["odd length", [17], [17]],
  ["a scalar", [7, 33], []],
  ["a scalar on the left", [], [7, 33]],
  ["a row on the left", [33], [7, 33]],
  ["a column", [65, 17], [65, 1]],
  ["the middle axis", [3, 5, 17], [3, 1, 17]],
  ["the outer axes", [1, 5, 1], [3, 5, 7]],
  ["both sides", [3, 1, 17], [1, 5, 1]],
  ["both sides, four axes", [4, 1, 3, 1], [2, 1, 5]],
  ["five axes", [2, 1, 3, 1, 2], [3, 1, 5, 1]],
  ["many elements", [300_000], [300_000]],
  ["many rows", [1000, 130], [130]],
  ["many columns", [257, 257], [257, 1]],
];

/** Two operands in every broadcast of a list of shapes. */
function binary(
  left: Fill,
  right: Fill,
  tolerance: Tolerance | undefined,
  shapes = SAME_SHAPES,
): Row<None>[] {
  return shapes.map(([about, a, b]) => ({
    about,
    operands: [left(a), right(b)],
    attributes: {},
    tolerance,
  }));
}

const ON_INTEGERS: Row<None>[] = SAME_SHAPES.map(([about, a, b]) => ({
  about: `integers, ${about}`,
  operands: [integers(a, -40_000, 40_000), integers(b, -40_000, 40_000)],
  attributes: {},
}));

const SPECIAL = [NaN, Infinity, -Infinity, 0, -0, 1, -1, 3e38];

/** Every special value against every other. */
const SPECIAL_PAIRS: Row<None> = {
  about: "NaN and infinities",
  operands: [given([8, 1], SPECIAL), given([8], SPECIAL)],
  attributes: {},
  gradient: "undefined",
};

const comparison: Row<None>[] = [
  ...binary(wholes, wholes, EXACT),
  ...ON_INTEGERS,
  SPECIAL_PAIRS,
  { about: "neighbours", operands: [given([2], [16777215, 1]), given([1], [1])], attributes: {} },
  {
    about: "great integers",
    operands: [
      givenIntegers([3], [2 ** 31 - 1, 16777217, -(2 ** 31)]),
      givenIntegers([3], [2 ** 31 - 2, 16777216, 2 ** 31 - 1]),
    ],
    attributes: {},
  },
];

/** One operand of several sizes. */
function unary<A>(
  fill: Fill,
  attributes: A,
  options: { tolerance?: Tolerance; gradient?: "convention" } = {},
): Row<A>[] {
  const shapes: readonly (readonly [string, Shape])[] = [
    ["one element", [1]],
    ["a scalar", []],
    ["odd length", [17]],
    ["two axes", [65, 33]],
    ["many elements", [70_001]],
  ];
  return shapes.map(([about, shape]) => ({
    about,
    operands: [fill(shape)],
    attributes,
    ...options,
  }));
}

/** The values of an elementwise function at the ends of its range. */
function atEnds<A>(values: readonly number[], attributes: A): Row<A> {
  return {
    about: "the ends of the range",
    operands: [given([values.length], values)],
    attributes,
    gradient: "undefined",
  };
}

const LINES: readonly (readonly [string, Shape])[] = [
  ["one element", [1, 1, 1]],
  ["lines of one element", [2, 1, 9]],
  ["rows", [3, 17, 1]],
  ["columns", [1, 33, 7]],
  ["middle axis", [5, 33, 7]],
  ["wide rows", [130, 65, 1]],
  ["wide columns", [1, 257, 130]],
];

/** A reduction over lines of every orientation, and over one long one. */
function reduction(
  fill: Fill,
  options: { tolerance?: Tolerance; long?: Shape } = {},
): Row<None>[] {
  const { long = [1, 100_000, 1], tolerance } = options;
  return [
    ...LINES,
    ["one long line", long],
    ["long columns", [1, 3000, 65]],
  ].map(([about, shape]) => ({
    about: about as string,
    operands: [fill(shape as Shape)],
    attributes: {},
    tolerance,
  }));
}

/** A convolution to be: its name, images, filter and window. */
export interface Geometry {
  readonly about: string;
  /** [B, H, W, Cin] */
  readonly images: Shape;
  /** [KH, KW, Cin, Cout] */
  readonly filter: Shape;
  readonly window: ConvAttributes;
}

/** A convolution of images with a kernel to so many channels. */
export function geometry(
  about: string,
  images: Shape,
  kernel: Pair,
  channels: number,
  { stride = [1, 1], padding = [0, 0], dilation = [1, 1] }: Partial<ConvAttributes> = {},
): Geometry {
  return {
    about,
    images,
    filter: [...kernel, images[3], channels],
    window: { stride, padding, dilation },
  };
}

const FEW_CHANNELS: readonly Geometry[] = [
  geometry("one element", [1, 1, 1, 1], [1, 1], 1),
  geometry("3×3, padded", [2, 7, 5, 3], [3, 3], 5, { padding: [1, 1] }),
  geometry("4×4, stride 2, padded", [2, 10, 8, 4], [4, 4], 8, { stride: [2, 2], padding: [1, 1] }),
  geometry("stride 3", [1, 11, 8, 6], [3, 3], 7, { stride: [3, 3], padding: [1, 1] }),
  geometry("stride beyond the kernel", [1, 9, 10, 3], [2, 2], 4, { stride: [3, 3] }),
  geometry("dilation 2", [1, 9, 11, 3], [3, 3], 4, { padding: [2, 2], dilation: [2, 2] }),
  geometry("dilation and stride 2", [2, 9, 9, 2], [3, 3], 3, {
    stride: [2, 2],
    padding: [2, 1],
    dilation: [2, 2],
  }),
  geometry("1×5 kernel", [2, 6, 9, 3], [1, 5], 4, { padding: [0, 2] }),
  geometry("5×2 kernel, all unequal", [1, 12, 9, 3], [5, 2], 4, {
    stride: [2, 1],
    padding: [1, 0],
    dilation: [1, 3],
  }),
  geometry("strides 1 and 2", [2, 7, 9, 5], [3, 3], 6, { stride: [1, 2], padding: [1, 1] }),
  geometry("strides 3 and 1", [1, 10, 6, 4], [2, 3], 9, { stride: [3, 1], padding: [0, 1] }),
  geometry("kernel 1", [2, 6, 5, 17], [1, 1], 33),
  geometry("kernel 1, stride 2", [2, 7, 5, 8], [1, 1], 16, { stride: [2, 2] }),
  geometry("one input channel", [2, 14, 13, 1], [3, 3], 8, { padding: [1, 1] }),
  geometry("one output channel", [2, 6, 7, 9], [3, 3], 1, { padding: [1, 1] }),
  geometry("padding beyond the kernel", [1, 4, 3, 2], [2, 2], 3, { padding: [3, 3] }),
  geometry("rows left over", [1, 8, 8, 3], [3, 3], 4, { stride: [2, 2] }),
  geometry("kernel as large as the images", [3, 5, 4, 3], [5, 4], 6),
  geometry("no multiples of a tile", [1, 13, 11, 33], [3, 3], 65, { padding: [1, 1] }),
  geometry("a layer of an encoder", [3, 14, 14, 64], [3, 3], 128, { padding: [1, 1] }),
  geometry("a first layer", [2, 32, 32, 3], [4, 4], 64, { stride: [2, 2], padding: [1, 1] }),
  geometry("many patches", [3, 28, 28, 2], [3, 3], 3, { padding: [1, 1] }),
  geometry("tall images", [2, 71, 4, 2], [4, 3], 7, {
    stride: [2, 1],
    padding: [3, 1],
    dilation: [3, 1],
  }),
];

/** The strided and the dilated ones again, as other kernels take more channels. */
const GEOMETRIES: readonly Geometry[] = [
  ...FEW_CHANNELS,
  ...FEW_CHANNELS.filter(({ images, window: { stride, dilation } }) =>
    images[3] < 8 && Math.max(...stride, ...dilation) > 1
  ).map(({ about, images, filter, window }) =>
    geometry(
      `${about}, nine channels`,
      [...images.slice(0, 3), 9],
      [filter[0], filter[1]],
      filter[3],
      window,
    )
  ),
];

function convolved({ images, filter, window: { stride, padding, dilation } }: Geometry): Shape {
  const length = (axis: 0 | 1) =>
    windowCount(images[axis + 1], filter[axis], stride[axis], padding[axis], dilation[axis]);
  return [images[0], length(0), length(1), filter[3]];
}

const BIASED = GEOMETRIES.filter(({ about }) =>
  ["3×3, padded", "stride 3", "kernel 1", "no multiples of a tile", "a first layer"].includes(about)
);

/** Whole numbers and a bias of a half: no output is near relu's kink. */
const HALVES = geometry("relu", [2, 5, 6, 2], [2, 2], 9, { padding: [1, 0] });

/** The rows of convolutions: forward, by the images and by the filter. */
export function convolutionRows(
  geometries: readonly Geometry[],
): Pick<OperationCases, "conv2d" | "convTranspose2d" | "conv2dFilter"> {
  return {
    conv2d: geometries.map(({ about, images, filter, window }) => ({
      about,
      operands: [uniform(images), uniform(filter)],
      attributes: { ...window, relu: false },
    })),
    convTranspose2d: geometries.map((geometry) => ({
      about: geometry.about,
      operands: [uniform(convolved(geometry)), uniform(geometry.filter)],
      attributes: {
        ...geometry.window,
        outputSize: [geometry.images[1], geometry.images[2]],
        relu: false,
      },
    })),
    conv2dFilter: geometries.map((geometry) => ({
      about: geometry.about,
      operands: [uniform(geometry.images), uniform(convolved(geometry))],
      attributes: {
        ...geometry.window,
        kernelSize: [geometry.filter[0], geometry.filter[1]],
      },
    })),
  };
}

const CONVOLUTIONS = convolutionRows(GEOMETRIES);

function matrices(about: string, a: Shape, b: Shape, transposeA: boolean, transposeB: boolean) {
  return { about, operands: [uniform(a), uniform(b)], attributes: { transposeA, transposeB } };
}

const TABLES: readonly (readonly [string, number, number, number])[] = [
  // about, rows of the table, width, number of indices
  ["one element", 1, 1, 1],
  ["scalar rows", 7, 1, 33],
  ["odd sizes", 33, 7, 65],
  ["more rows than indices", 130, 17, 9],
  ["many indices", 512, 64, 3000],
  ["one row", 1, 130, 257],
];

function nearest(
  about: string,
  queries: Operand,
  keys: Operand,
  distance: Distance,
  noise?: RandomKey,
): Row<Attributes["nearest"]> {
  const attributes = noise === undefined ? { distance } : { distance, noise };
  return {
    about: `${about}, ${distance}${noise === undefined ? "" : ", noise"}`,
    operands: [queries, keys],
    attributes,
    judge: judgeNearest(queries.shape, keys.shape, attributes),
  };
}

/** The nearest keys where arithmetic is exact and so the index is. */
function nearestExactly(
  about: string,
  queries: Operand,
  keys: Operand,
  distance: Distance,
): Row<Attributes["nearest"]> {
  return { about: `${about}, ${distance}`, operands: [queries, keys], attributes: { distance } };
}

const DISTANCES: readonly Distance[] = ["l2", "cos"];

const GROUP_NORMS: readonly ({
  readonly about: string;
  readonly shape: readonly [number, number, number];
  readonly shifted: boolean;
} & GroupNormAttributes)[] = ([
  ["one channel of two", [3, 5, 2], 2],
  ["one group", [2, 9, 12], 1],
  ["groups of three", [2, 9, 12], 4],
  ["groups of two", [3, 37, 12], 6],
  ["each channel a group", [2, 19, 8], 8],
  ["rows of odd length", [33, 1, 17], 1],
  ["long rows", [65, 1, 130], 1],
  ["rows of whole vectors", [1100, 1, 24], 1],
  ["images", [3, 196, 64], 8],
  ["groups too long to be held", [2, 1500, 12], 2],
  ["many rows", [1, 3000, 8], 2],
] as const).flatMap(([about, shape, groups]) =>
  [[true, true, true], [true, false, true], [false, false, false], [false, true, true]].map((
    [centred, silu, shifted],
  ) => ({
    about: `${about}${centred ? "" : ", not centred"}${silu ? ", SiLU" : ""}`,
    shape,
    groups,
    centred,
    silu,
    shifted,
  }))
);

/** A gain, and a shift if asked. */
function parameters(channels: number, shifted: boolean): Operand[] {
  return [uniform([channels], 0.5, 2), ...shifted ? [uniform([channels])] : []];
}

function groupNormGradients(): Row<GroupNormAttributes>[] {
  return GROUP_NORMS.map(({ about, shape, shifted, ...attributes }) => ({
    about,
    operands: [
      uniform(shape),
      uniform([shape[0], attributes.groups, 2], 0.5, 2),
      uniform(shape),
      ...parameters(shape[2], shifted),
    ],
    attributes,
  }));
}

/** Attention of queries [B, S, H, D] over keys and values [B, T, H, D]. */
const ATTENTIONS: readonly ({
  readonly about: string;
  readonly queries: Shape;
  readonly keys: Shape;
  readonly visible?: readonly [Operand];
} & AttentionAttributes)[] = [
  ...([
    ["one element", 1, 1, 1, 1, 1],
    ["odd sizes", 2, 7, 9, 3, 5],
    ["one query", 2, 1, 65, 2, 8],
    ["one key", 3, 17, 1, 2, 4],
    ["more queries than keys", 1, 100, 33, 2, 7],
    ["more keys than queries", 1, 33, 100, 1, 16],
    ["several tiles", 2, 130, 129, 2, 32],
    ["wide heads", 1, 67, 66, 1, 64],
    ["a very wide head", 1, 49, 37, 1, 259],
    ["many heads of one element", 1, 9, 11, 17, 1],
  ] as const).flatMap(([about, batch, length, count, heads, width]) =>
    [false, true].map((causal) => ({
      about: `${about}${causal ? ", causal" : ""}`,
      queries: [batch, length, heads, width],
      keys: [batch, count, heads, width],
      causal,
      scale: 1 / Math.sqrt(width),
    }))
  ),
  {
    about: "blocks that see those before them",
    queries: [2, 84, 2, 8],
    keys: [2, 84, 2, 8],
    visible: [givenIntegers([84], scales([1, 4, 9, 70]))],
    causal: false,
    scale: 0.5,
  },
  {
    about: "any numbers of keys, also none and too many",
    queries: [1, 70, 2, 5],
    keys: [1, 41, 2, 5],
    visible: [integers([70], -3, 50)],
    causal: false,
    scale: 1,
  },
  {
    about: "numbers of keys, causal",
    queries: [2, 19, 3, 6],
    keys: [2, 23, 3, 6],
    visible: [integers([19], 0, 23)],
    causal: true,
    scale: -0.7,
  },
];

const DRAWS: readonly (readonly [string, Shape, RandomKey])[] = [
  ["a scalar", [], randomKey(0, "draws")],
  ["three elements", [3], randomKey(1, "draws", 1)],
  ["odd sizes", [7, 5], randomKey(2 ** 32 + 5, "draws", 2 ** 32 - 1)],
  ["a great seed", [33, 4], randomKey(2 ** 53 - 1, "other draws", 77)],
  ["many elements", [100_003], randomKey(42, "draws", 3)],
];

// ---- the table -----------------------------------------------------------------------------------------------

/** The cases of every operation. */
export const operationCases: OperationCases = {
  add: [...binary(uniform, uniform, EXACT, ALL_SHAPES), ...ON_INTEGERS],
  sub: [...binary(uniform, uniform, EXACT, ALL_SHAPES), ...ON_INTEGERS],
  mul: [...binary(uniform, uniform, EXACT, ALL_SHAPES), ...ON_INTEGERS],
  div: binary(uniform, (shape) => uniform(shape, 0.5, 2), undefined, ALL_SHAPES),
  pow: [
    ...binary(
      (shape) => uniform(shape, 0.5, 2),
      (shape) => uniform(shape, -2, 2),
      undefined,
      ALL_SHAPES,
    ),
    {
      about: "whole powers",
      operands: [given([4, 1], [-2, 0, 1, 3]), given([3], [0, 1, 2])],
      attributes: {},
      gradient: "undefined",
    },
  ],
  maximum: [...binary(onGrid, offGrid, EXACT), ...ON_INTEGERS, {
    about: "ties",
    operands: [wholes([7, 33]), wholes([33])],
    attributes: {},
    tolerance: EXACT,
    gradient: "convention",
  }],
  minimum: [...binary(onGrid, offGrid, EXACT), ...ON_INTEGERS, {
    about: "ties",
    operands: [wholes([7, 33]), wholes([33])],
    attributes: {},
    tolerance: EXACT,
    gradient: "convention",
  }],
  equal: comparison,
  notEqual: comparison,
  less: comparison,
  lessEqual: comparison,
  greater: comparison,
  greaterEqual: comparison,
  where: [
    {
      about: "one shape",
      operands: [integers([65, 33], 0, 1), uniform([65, 33]), uniform([65, 33])],
      attributes: {},
      tolerance: EXACT,
    },
    {
      about: "conditions other than 0 and 1",
      operands: [integers([33], -2, 2), uniform([33]), uniform([33])],
      attributes: {},
      tolerance: EXACT,
    },
    {
      about: "a column of conditions, a row and a scalar",
      operands: [integers([7, 1], 0, 1), uniform([17]), uniform([])],
      attributes: {},
      tolerance: EXACT,
    },
    {
      about: "one condition, choices broadcast against each other",
      operands: [givenIntegers([], [1]), uniform([3, 1, 5]), uniform([4, 1])],
      attributes: {},
      tolerance: EXACT,
    },
    {
      about: "integers",
      operands: [integers([5, 1, 3], 0, 1), integers([7, 1]), integers([3])],
      attributes: {},
    },
    {
      about: "NaN in the choice not taken",
      operands: [givenIntegers([2], [1, 0]), given([2], [1, NaN]), given([2], [NaN, 2])],
      attributes: {},
      gradient: "undefined",
    },
    {
      about: "many elements",
      operands: [integers([1000, 130], 0, 1), uniform([130]), uniform([1000, 1])],
      attributes: {},
      tolerance: EXACT,
    },
  ],
  exp: [
    ...unary((shape) => uniform(shape, -4, 4), {}),
    atEnds([-Infinity, -200, 0, 88, 200, NaN], {}),
  ],
  log: [
    ...unary((shape) => uniform(shape, 0.1, 9), {}),
    atEnds([0, -1, 1, 1e-30, 1e30, Infinity], {}),
  ],
  sqrt: [...unary((shape) => uniform(shape, 0.1, 9), {}), atEnds([0, -1, 1e-30, 1e30], {})],
  square: unary(uniform, {}, { tolerance: EXACT }),
  abs: [...unary(offGrid, {}, { tolerance: EXACT }), atEnds([0, -0, -Infinity], {})],
  sign: [...unary(wholes, {}), atEnds([0, 1e-30, -1e-30, Infinity, -Infinity], {})],
  tanh: [
    ...unary((shape) => uniform(shape, -3, 3), {}),
    atEnds([0, 1e-6, -1e-6, 50, -50, 1e30, -1e30, Infinity, -Infinity], {}),
  ],
  sigmoid: [
    ...unary((shape) => uniform(shape, -5, 5), {}),
    atEnds([0, 30, -30, 200, -200, Infinity, -Infinity], {}),
  ],
  erf: [
    ...unary((shape) => uniform(shape, -3, 3), {}),
    atEnds([0, 1e-6, -1e-6, 4, -4, 20, -20, Infinity, -Infinity], {}),
    { about: "small values", operands: [uniform([65], -1e-3, 1e-3)], attributes: {} },
  ],
  gelu: [
    ...unary((shape) => uniform(shape, -3, 3), {}),
    atEnds([0, 1e-6, -1e-6, 4, -4, 20, -20, Infinity], {}),
  ],
  geluGradient: [
    {
      about: "many elements",
      operands: [uniform([70_001], -4, 4), uniform([70_001])],
      attributes: {},
      gradient: "convention",
    },
    {
      about: "three axes",
      operands: [uniform([3, 4, 5], -3, 3), uniform([3, 4, 5])],
      attributes: {},
    },
  ],
  relu: [...unary(offGrid, {}, { tolerance: EXACT }), {
    about: "zeros",
    operands: [wholes([33])],
    attributes: {},
    tolerance: EXACT,
    gradient: "convention",
  }],
  leakyRelu: [...unary(offGrid, { slope: 0.2 }), {
    about: "zeros",
    operands: [wholes([33])],
    attributes: { slope: 0.01 },
    gradient: "convention",
  }],
  clamp: [
    ...unary(offGrid, { low: -0.5, high: 0.7 }, { tolerance: EXACT }),
    {
      about: "at its ends",
      operands: [wholes([33])],
      attributes: { low: -1, high: 2 },
      tolerance: EXACT,
      gradient: "convention",
    },
    {
      about: "one side",
      operands: [uniform([33])],
      attributes: { low: 0.1, high: Infinity },
      tolerance: EXACT,
      gradient: "convention",
    },
    {
      about: "a single value",
      operands: [uniform([33])],
      attributes: { low: 0.25, high: 0.25 },
      tolerance: EXACT,
    },
  ],
  affine: [
    ...unary(uniform, { scale: -1.5, shift: 0.25 }),
    { about: "scale 1", operands: [uniform([7])], attributes: { scale: 1, shift: 3 } },
    { about: "scale 0", operands: [uniform([7])], attributes: { scale: 0, shift: 3 } },
  ],
  reluGradient: [
    { about: "one element", operands: [offGrid([1]), uniform([1])], attributes: {} },
    {
      about: "zeros",
      operands: [wholes([65, 33]), uniform([65, 33])],
      attributes: {},
      tolerance: EXACT,
      gradient: "convention",
    },
    {
      about: "many elements",
      operands: [offGrid([70_001]), uniform([70_001])],
      attributes: {},
      tolerance: EXACT,
    },
  ],
  cast: [
    {
      about: "to integers",
      operands: [uniform([65, 33], -1000, 1000)],
      attributes: { dtype: "int32" },
    },
    {
      about: "to integers, every special value",
      operands: [given([13], [
        NaN,
        Infinity,
        -Infinity,
        3e9,
        -3e9,
        2147483648,
        -2147483648,
        2147483520,
        0.999,
        -0.999,
        -0,
        1.5,
        -2.5,
      ])],
      attributes: { dtype: "int32" },
    },
    {
      about: "to floats",
      operands: [integers([65, 33], -1000, 1000)],
      attributes: { dtype: "float32" },
      tolerance: EXACT,
    },
    {
      about: "to floats, integers that round",
      operands: [givenIntegers([6], [16777217, 16777219, 2147483647, -2147483648, -16777217, 0])],
      attributes: { dtype: "float32" },
      tolerance: EXACT,
    },
    {
      about: "floats to floats",
      operands: [uniform([33])],
      attributes: { dtype: "float32" },
      tolerance: EXACT,
    },
    {
      about: "integers to integers",
      operands: [integers([33])],
      attributes: { dtype: "int32" },
    },
    {
      about: "many elements",
      operands: [uniform([70_001], -9, 9)],
      attributes: { dtype: "int32" },
    },
  ],

  sum: [...reduction(uniform), {
    about: "whole numbers",
    operands: [wholes([3, 1000, 5])],
    attributes: {},
    tolerance: EXACT,
  }],
  max: [...reduction(distinct, { tolerance: EXACT, long: [1, 20_000, 1] }), {
    about: "ties",
    operands: [wholes([5, 33, 7])],
    attributes: {},
    tolerance: EXACT,
    gradient: "convention",
  }, {
    about: "NaN and infinities",
    operands: [
      withValues(uniform([4, 65, 3]), {
        0: NaN,
        100: NaN,
        194: NaN,
        200: Infinity,
        400: -Infinity,
      }),
    ],
    attributes: {},
    gradient: "undefined",
  }, {
    about: "all −∞",
    operands: [given([1, 3, 1], [-Infinity, -Infinity, -Infinity])],
    attributes: {},
    gradient: "undefined",
  }],
  argmax: [...reduction(distinct), {
    about: "ties",
    operands: [wholes([5, 130, 7])],
    attributes: {},
  }, {
    about: "a long line of ties",
    operands: [wholes([1, 100_000, 1])],
    attributes: {},
  }, {
    about: "NaN and infinities",
    operands: [given(
      [5, 4, 1],
      [
        [NaN, 1, 2, NaN],
        [NaN, NaN, NaN, NaN],
        [NaN, -Infinity, NaN, -Infinity],
        [-Infinity, -Infinity, -Infinity, -Infinity],
        [0, Infinity, NaN, Infinity],
      ].flat(),
    )],
    attributes: {},
  }],
  logsumexp: [...reduction((shape) => uniform(shape, -3, 3), { long: [1, 20_000, 1] }), {
    about: "great values",
    operands: [uniform([3, 17, 5], 900, 1000)],
    attributes: {},
  }, {
    about: "masked by −∞",
    operands: [withValues(uniform([2, 9, 1]), { 0: -Infinity, 5: -Infinity, 17: -Infinity })],
    attributes: {},
    gradient: "convention",
  }, {
    about: "lines side by side, masked by −∞",
    operands: [withValues(uniform([2, 9, 6]), { 0: -Infinity, 6: -Infinity, 58: -Infinity })],
    attributes: {},
    gradient: "convention",
  }],
  softmax: [...reduction((shape) => uniform(shape, -3, 3), { long: [1, 20_000, 1] }), {
    about: "great values",
    operands: [uniform([3, 17, 5], 990, 1000)],
    attributes: {},
    tolerance: CANCELLING,
  }, {
    about: "masked by −∞",
    operands: [withValues(uniform([2, 9, 1]), { 0: -Infinity, 5: -Infinity, 17: -Infinity })],
    attributes: {},
    gradient: "convention",
  }, {
    about: "lines side by side, masked by −∞",
    operands: [withValues(uniform([2, 9, 6]), { 0: -Infinity, 6: -Infinity, 58: -Infinity })],
    attributes: {},
    gradient: "convention",
  }],
  kthValue: [
    ...LINES.flatMap(([about, shape]) =>
      [0, Math.floor(shape[1] / 2), shape[1] - 1].map((rank) => ({
        about: `${about}, rank ${rank}`,
        operands: [uniform(shape)],
        attributes: { rank },
        tolerance: EXACT,
      }))
    ),
    {
      about: "ties",
      operands: [wholes([3, 130, 2])],
      attributes: { rank: 64 },
      tolerance: EXACT,
    },
    {
      about: "NaN last",
      operands: [withValues(uniform([1, 9, 1]), { 0: NaN, 4: NaN })],
      attributes: { rank: 7 },
    },
    {
      about: "infinities, before NaN",
      operands: [given([1, 4, 1], [NaN, Infinity, -Infinity, 1])],
      attributes: { rank: 2 },
    },
    {
      about: "a long line",
      operands: [uniform([2, 3000, 1])],
      attributes: { rank: 1234 },
      tolerance: EXACT,
    },
  ],

  matmul: [
    matrices("one element", [1, 1, 1], [1, 1, 1], false, false),
    matrices("batches", [2, 7, 17], [2, 17, 33], false, false),
    matrices("batches, left transposed", [2, 17, 7], [2, 17, 33], true, false),
    matrices("batches, right transposed", [2, 7, 17], [2, 33, 17], false, true),
    matrices("batches, both transposed", [2, 17, 7], [2, 33, 17], true, true),
    matrices("one left side for all", [1, 7, 5], [3, 5, 9], false, false),
    matrices("one right side for all", [3, 7, 5], [1, 5, 9], false, false),
    matrices("one left side for all, both transposed", [1, 5, 7], [3, 9, 5], true, true),
    matrices("one right side for all, both transposed", [3, 5, 7], [1, 9, 5], true, true),
    matrices("a row", [1, 1, 33], [1, 33, 65], false, false),
    matrices("a column", [1, 65, 33], [1, 33, 1], false, false),
    matrices("an outer product", [1, 33, 1], [1, 1, 17], false, false),
    matrices("an inner product", [1, 1, 257], [1, 257, 1], false, false),
    matrices("multiples of a tile", [1, 64, 64], [1, 64, 64], false, false),
    matrices("no multiples of a tile", [1, 130, 70], [1, 70, 257], false, false),
    matrices("no multiples, left transposed", [1, 70, 130], [1, 70, 257], true, false),
    matrices("no multiples, right transposed", [1, 130, 70], [1, 257, 70], false, true),
    matrices("no multiples, both transposed", [1, 70, 130], [1, 257, 70], true, true),
    matrices("deep", [1, 17, 3000], [1, 3000, 9], false, false),
    matrices("large", [1, 300, 257], [1, 257, 310], false, false),
    matrices("attention", [8, 65, 16], [8, 65, 16], false, true),
  ],
  conv2d: [
    ...CONVOLUTIONS.conv2d,
    ...BIASED.map(({ about, images, filter, window }) => ({
      about: `${about}, biased`,
      operands: [uniform(images), uniform(filter), uniform([filter[3]])],
      attributes: { ...window, relu: false },
    })),
    ...BIASED.map(({ about, images, filter, window }) => ({
      about: `${about}, biased, relu`,
      operands: [uniform(images), uniform(filter), uniform([filter[3]])],
      attributes: { ...window, relu: true },
      gradient: "convention" as const,
    })),
    {
      about: "relu away from its kink",
      operands: [
        wholes(HALVES.images, -2, 2),
        wholes(HALVES.filter, -2, 2),
        given([9], new Array<number>(9).fill(0.5)),
      ],
      attributes: { ...HALVES.window, relu: true },
    },
    {
      about: "relu without a bias",
      operands: [uniform(HALVES.images), uniform(HALVES.filter)],
      attributes: { ...HALVES.window, relu: true },
      gradient: "convention",
    },
  ],
  convTranspose2d: [
    ...CONVOLUTIONS.convTranspose2d,
    ...BIASED.map((geometry) => ({
      about: `${geometry.about}, biased`,
      operands: [
        uniform(convolved(geometry)),
        uniform(geometry.filter),
        uniform([geometry.filter[2]]),
      ],
      attributes: {
        ...geometry.window,
        outputSize: [geometry.images[1], geometry.images[2]] as const,
        relu: false,
      },
    })),
    {
      about: "relu away from its kink",
      operands: [
        wholes(convolved(HALVES), -1, 1),
        wholes(HALVES.filter, -1, 1),
        given([2], [0.5, -0.5]),
      ],
      attributes: { ...HALVES.window, outputSize: [5, 6], relu: true },
    },
    {
      about: "relu without a bias",
      operands: [uniform(convolved(HALVES)), uniform(HALVES.filter)],
      attributes: { ...HALVES.window, outputSize: [5, 6], relu: true },
      gradient: "convention",
    },
  ],
  conv2dFilter: CONVOLUTIONS.conv2dFilter,
  normalize: [
    { about: "one element", operands: [uniform([1, 1, 1])], attributes: { groups: 1, epsilon: 1 } },
    ...[1, 3, 4, 12].map((groups) => ({
      about: `${groups} groups`,
      operands: [uniform([2, 9, 12])],
      attributes: { groups, epsilon: 1e-5 },
    })),
    {
      about: "a group a channel, one position",
      operands: [uniform([5, 1, 7])],
      attributes: { groups: 7, epsilon: 1e-2 },
      tolerance: CANCELLING,
    },
    {
      about: "layer normalisation",
      operands: [uniform([65, 1, 130])],
      attributes: { groups: 1, epsilon: 1e-6 },
    },
    {
      about: "layer normalisation, odd width",
      operands: [uniform([33, 1, 17])],
      attributes: { groups: 1, epsilon: 1e-5 },
    },
    {
      about: "group normalisation of images",
      operands: [uniform([3, 196, 64])],
      attributes: { groups: 8, epsilon: 1e-6 },
    },
    {
      about: "groups too long to be held",
      operands: [uniform([2, 1500, 12])],
      attributes: { groups: 2, epsilon: 1e-6 },
    },
    {
      about: "great epsilon",
      operands: [uniform([2, 5, 6])],
      attributes: { groups: 2, epsilon: 3 },
    },
    {
      about: "a mean far from zero",
      operands: [uniform([2, 100, 4], 99, 101)],
      attributes: { groups: 2, epsilon: 1e-5 },
      tolerance: CANCELLING,
      gradient: "convention",
    },
  ],
  normalizeGradient: [
    {
      about: "one element",
      operands: [uniform([1, 1, 1]), uniform([1, 1]), uniform([1, 1, 1])],
      attributes: { groups: 1 },
      tolerance: { absolute: 1e-6 },
    },
    ...([
      [[2, 9, 12], 3],
      [[33, 1, 17], 1],
      [[3, 196, 64], 8],
      [[2, 1500, 12], 2],
    ] as const).map(([shape, groups]) => ({
      about: `${groups} groups of [${shape}]`,
      operands: [uniform(shape), uniform([shape[0], groups], 0.5, 2), uniform(shape)],
      attributes: { groups },
    })),
  ],

  groupNorm: [
    ...GROUP_NORMS.map(({ about, shape, shifted, ...attributes }) => ({
      about,
      operands: [uniform(shape), ...parameters(shape[2], shifted)],
      attributes: { ...attributes, epsilon: 1e-5 },
    })),
    {
      about: "a mean far from zero",
      operands: [uniform([2, 100, 4], 99, 101), ...parameters(4, true)],
      attributes: { groups: 2, centred: true, silu: true, epsilon: 1e-5 },
      tolerance: CANCELLING,
      gradient: "undefined",
    },
    {
      about: "a great gain",
      operands: [uniform([2, 9, 4]), given([4], [1e3, -1e3, 30, -30]), uniform([4])],
      attributes: { groups: 1, centred: true, silu: true, epsilon: 1e-5 },
      gradient: "undefined",
    },
  ],
  groupNormGradient: notTwice(groupNormGradients()),
  groupNormParameterGradient: notTwice(groupNormGradients()),
  attention: [
    ...ATTENTIONS.map((
      { about, queries, keys, visible, ...attributes },
    ): Row<AttentionAttributes> => ({
      about,
      operands: [uniform(queries), uniform(keys), uniform(keys), ...visible ?? []],
      attributes,
      // One key's weight is 1 whatever the logit: its gradients are 0 but for rounding.
      gradient: keys[1] === 1 ? "undefined" : "derivative",
    })),
    {
      about: "logits of ±10,000",
      operands: [
        wholes([2, 17, 2, 4], -50, 50),
        wholes([2, 65, 2, 4], -50, 50),
        uniform([2, 65, 2, 4]),
      ],
      attributes: { causal: false, scale: 1 },
      gradient: "convention",
    },
    {
      about: "NaN in one query",
      operands: [
        withValues(uniform([1, 3, 1, 4]), { 5: NaN }),
        uniform([1, 9, 1, 4]),
        uniform([1, 9, 1, 4]),
      ],
      attributes: { causal: false, scale: 1 },
      gradient: "undefined",
    },
    {
      about: "NaN in a key that only the last query sees",
      operands: [
        uniform([1, 3, 1, 4]),
        withValues(uniform([1, 9, 1, 4]), { 32: NaN }),
        uniform([1, 9, 1, 4]),
      ],
      attributes: { causal: true, scale: 1 },
      gradient: "undefined",
    },
  ],
  attentionGradient: notTwice(
    ATTENTIONS.map(({ about, queries, keys, visible, ...attributes }) => ({
      about,
      operands: [
        ...[queries, keys, keys, queries].map((shape) => uniform(shape)),
        ...[uniform(queries.slice(0, 3), 2, 3), uniform(queries.slice(0, 3))],
        ...visible ?? [],
      ],
      attributes,
    })),
  ),

  reshape: [
    { about: "to more axes", operands: [uniform([6, 35])], attributes: { shape: [2, 3, 5, 7] } },
    { about: "to a scalar", operands: [uniform([1, 1])], attributes: { shape: [] } },
    { about: "integers", operands: [integers([4, 3])], attributes: { shape: [12] } },
  ],
  straightThrough: [
    {
      about: "a matrix",
      operands: [uniform([7, 33]), uniform([7, 33])],
      attributes: {},
      tolerance: EXACT,
      gradient: "convention",
    },
  ],
  transpose: ([
    ["a scalar", [], []],
    ["one axis", [17], [0]],
    ["a matrix", [33, 65], [1, 0]],
    ["the same order", [5, 7], [0, 1]],
    ["a row", [1, 33], [1, 0]],
    ["three axes, reversed", [3, 5, 7], [2, 1, 0]],
    ["three axes, turned", [3, 5, 7], [1, 2, 0]],
    ["the last two axes", [4, 17, 9], [0, 2, 1]],
    ["heads of attention", [2, 17, 4, 8], [0, 2, 1, 3]],
    ["channels first to last", [2, 3, 7, 5], [0, 2, 3, 1]],
    ["channels last to first", [2, 7, 5, 3], [0, 3, 1, 2]],
    ["a filter", [3, 4, 5, 6], [3, 2, 0, 1]],
    ["five axes", [2, 3, 1, 5, 4], [4, 0, 3, 1, 2]],
    ["a large matrix", [257, 300], [1, 0]],
  ] as const).flatMap(([about, shape, permutation]) => [
    { about, operands: [uniform(shape)], attributes: { permutation }, tolerance: EXACT },
    { about: `integers, ${about}`, operands: [integers(shape)], attributes: { permutation } },
  ]),
  slice: ([
    ["all of it", [7], [0], [7]],
    ["one element", [7], [6], [1]],
    ["rows", [65, 33], [17, 0], [31, 33]],
    ["columns", [65, 33], [0, 5], [65, 7]],
    ["a block", [5, 7, 9], [1, 2, 3], [3, 4, 5]],
    ["four axes", [3, 4, 5, 6], [1, 0, 2, 1], [2, 3, 1, 4]],
    ["a scalar", [], [], []],
    ["many elements", [300, 257], [1, 1], [298, 255]],
  ] as const).flatMap(([about, shape, starts, sizes]) => [
    { about, operands: [uniform(shape)], attributes: { starts, sizes }, tolerance: EXACT },
    { about: `integers, ${about}`, operands: [integers(shape)], attributes: { starts, sizes } },
  ]),
  pad: ([
    ["nothing", [7], [0], [0], 5],
    ["before", [7], [3], [0], 5],
    ["after", [7], [0], [3], 5],
    ["a block", [3, 5], [1, 2], [0, 3], 0],
    ["images", [2, 5, 4, 3], [0, 1, 2, 0], [0, 3, 1, 0], -2],
    ["four axes", [2, 3, 1, 2], [1, 0, 2, 1], [1, 2, 0, 3], 7],
    ["a scalar", [], [], [], 1],
    ["many elements", [250, 200], [3, 7], [5, 1], 0],
  ] as const).flatMap(([about, shape, before, after, value]) => [
    { about, operands: [uniform(shape)], attributes: { before, after, value }, tolerance: EXACT },
    {
      about: `integers, ${about}`,
      operands: [integers(shape)],
      attributes: { before, after, value },
    },
  ]),
  broadcast: ([
    ["the same shape", [3, 5], [3, 5]],
    ["a scalar", [], [7, 3]],
    ["one element to one axis", [1], [33]],
    ["a row", [17], [5, 17]],
    ["a column", [5, 1], [5, 17]],
    ["the middle axis", [3, 1, 7], [3, 9, 7]],
    ["new axes around one", [5, 1], [2, 3, 5, 7]],
    ["every other axis", [1, 3, 1, 5], [2, 3, 4, 5]],
    ["many elements", [1, 130], [1000, 130]],
  ] as const).flatMap(([about, shape, target]) => [
    { about, operands: [uniform(shape)], attributes: { shape: target }, tolerance: EXACT },
    { about: `integers, ${about}`, operands: [integers(shape)], attributes: { shape: target } },
  ]),
  concatenate: [
    { about: "one operand", operands: [uniform([3, 5])], attributes: { axis: 0 } },
    {
      about: "rows",
      operands: [uniform([3, 5]), uniform([1, 5]), uniform([7, 5])],
      attributes: { axis: 0 },
      tolerance: EXACT,
    },
    {
      about: "columns",
      operands: [uniform([65, 3]), uniform([65, 33])],
      attributes: { axis: 1 },
      tolerance: EXACT,
    },
    {
      about: "the middle axis",
      operands: [uniform([2, 3, 5]), uniform([2, 4, 5])],
      attributes: { axis: 1 },
      tolerance: EXACT,
    },
    {
      about: "twelve scalars in a row",
      operands: Array.from({ length: 12 }, () => uniform([1])),
      attributes: { axis: 0 },
      tolerance: EXACT,
    },
    {
      about: "channels of images",
      operands: [uniform([2, 5, 3, 4]), uniform([2, 5, 3, 1]), uniform([2, 5, 3, 7])],
      attributes: { axis: 3 },
      tolerance: EXACT,
    },
    {
      about: "integers",
      operands: [integers([3, 2]), integers([3, 4])],
      attributes: { axis: 1 },
    },
    {
      about: "many elements",
      operands: [uniform([300, 130]), uniform([300, 65])],
      attributes: { axis: 1 },
      tolerance: EXACT,
    },
  ],
  upsampleNearest: ([
    [[1, 1, 1, 1], [1, 1]],
    [[2, 3, 5, 7], [2, 2]],
    [[1, 5, 3, 3], [3, 2]],
    [[2, 4, 3, 1], [1, 4]],
    [[2, 14, 14, 32], [2, 2]],
  ] as const).map(([shape, scale]) => ({
    about: `${scale[0]}×${scale[1]}`,
    operands: [uniform(shape)],
    attributes: { scale },
    tolerance: EXACT,
  })),
  averagePool: ([
    ["one element", [1, 1, 1, 1], [1, 1], [1, 1], [0, 0]],
    ["2×2", [2, 6, 8, 5], [2, 2], [2, 2], [0, 0]],
    ["overlapping, padded", [2, 7, 5, 3], [3, 3], [1, 1], [1, 1]],
    ["all unequal", [1, 9, 8, 3], [3, 2], [2, 3], [1, 0]],
    ["gaps between windows", [1, 9, 9, 2], [2, 2], [3, 3], [0, 0]],
    ["rows left over", [1, 8, 7, 2], [3, 3], [2, 2], [0, 0]],
    ["the whole image", [3, 7, 7, 33], [7, 7], [7, 7], [0, 0]],
    ["many elements", [2, 32, 32, 33], [2, 2], [2, 2], [0, 0]],
  ] as const).map(([about, shape, size, stride, padding]) => ({
    about,
    operands: [uniform(shape)],
    attributes: { size, stride, padding },
  })),
  averagePoolGradient: ([
    ["one element", [1, 1, 1, 1], [1, 1], [1, 1], [1, 1], [0, 0]],
    ["overlapping, padded", [2, 7, 5, 3], [7, 5], [3, 3], [1, 1], [1, 1]],
    ["rows left over", [1, 3, 3, 2], [8, 7], [3, 3], [2, 2], [0, 0]],
  ] as const).map(([about, shape, inputSize, size, stride, padding]) => ({
    about,
    operands: [uniform(shape)],
    attributes: { inputSize, size, stride, padding },
  })),
  maxPool: [
    ...([
      ["one element", [1, 1, 1, 1], [1, 1], [1, 1], [0, 0]],
      ["2×2", [2, 6, 8, 5], [2, 2], [2, 2], [0, 0]],
      ["overlapping, padded", [2, 7, 5, 3], [3, 3], [1, 1], [1, 1]],
      ["all unequal", [1, 9, 8, 3], [3, 2], [2, 3], [1, 0]],
      ["gaps between windows", [1, 9, 9, 2], [2, 2], [3, 3], [0, 0]],
      ["rows left over, four channels", [2, 8, 7, 4], [3, 3], [2, 2], [0, 0]],
      ["many elements", [2, 32, 32, 33], [3, 3], [2, 2], [1, 1]],
    ] as const).map(([about, shape, size, stride, padding]) => ({
      about,
      operands: [distinct(shape)],
      attributes: { size, stride, padding },
      tolerance: EXACT,
    })),
    {
      about: "many that are equal",
      operands: [wholes([2, 9, 8, 6], -1, 1)],
      attributes: { size: [3, 3], stride: [1, 1], padding: [1, 1] },
      tolerance: EXACT,
      gradient: "convention",
    },
    {
      about: "the ends of the range",
      operands: [given([1, 1, 4, 1], [-Infinity, -Infinity, NaN, 1])],
      attributes: { size: [1, 2], stride: [1, 1], padding: [0, 0] },
      gradient: "undefined",
    },
  ],
  maxPoolGradient: ([
    ["one element", [1, 1, 1, 1], [1, 1], [1, 1], [1, 1], [0, 0]],
    ["overlapping, padded", [2, 7, 5, 3], [7, 5], [3, 3], [1, 1], [1, 1]],
    ["rows left over, four channels", [1, 8, 7, 4], [3, 3], [3, 3], [2, 2], [0, 0]],
    ["gaps between windows", [1, 9, 9, 2], [3, 3], [2, 2], [3, 3], [0, 0]],
  ] as const).map(([about, shape, pooled, size, stride, padding]) => {
    const maps = [shape[0], ...pooled, shape[3]];
    return {
      about,
      operands: [wholes(shape, 0, 1), wholes(maps, 0, 1), uniform(maps)],
      attributes: { size, stride, padding },
      gradient: "undefined" as const,
    };
  }),
  copy: [
    { about: "floats", operands: [uniform([7, 33])], attributes: {}, tolerance: EXACT },
    { about: "a scalar", operands: [uniform([])], attributes: {}, tolerance: EXACT },
    { about: "integers", operands: [integers([7, 33])], attributes: {} },
    { about: "many elements", operands: [uniform([300_001])], attributes: {}, tolerance: EXACT },
    {
      about: "into a tensor",
      operands: [uniform([5, 3])],
      attributes: {},
      into: [uniform([5, 3])],
      tolerance: EXACT,
      gradient: "undefined",
    },
  ],
  full: ([
    [[], -2.5, "float32"],
    [[7, 33], 0.1, "float32"],
    [[5], Infinity, "float32"],
    [[5], -Infinity, "float32"],
    [[17], -7, "int32"],
    [[3], 2147483647, "int32"],
    [[300_001], 3, "float32"],
  ] as const).map(([shape, value, dtype]) => ({
    about: `${value} of ${dtype}`,
    operands: [],
    attributes: { shape, value, dtype },
    tolerance: EXACT,
  })),

  gather: [
    ...TABLES.map(([about, rows, width, count]) => ({
      about,
      operands: [uniform([rows, width]), integers([count], 0, rows - 1)],
      attributes: {},
      tolerance: EXACT,
    })),
    {
      about: "indices out of range",
      operands: [
        uniform([5, 3]),
        givenIntegers([8], [0, -1, 5, 4, 2147483647, -2147483648, 2, 1000]),
      ],
      attributes: {},
      tolerance: EXACT,
    },
    {
      about: "a table of integers",
      operands: [integers([33, 5]), integers([17], -3, 40)],
      attributes: {},
    },
  ],
  segmentSum: [
    ...TABLES.map(([about, segments, width, count]) => ({
      about,
      operands: [uniform([count, width]), integers([count], 0, segments - 1)],
      attributes: { segments },
    })),
    {
      about: "indices out of range",
      operands: [
        uniform([8, 3]),
        givenIntegers([8], [0, -1, 5, 4, 2147483647, -2147483648, 4, 1000]),
      ],
      attributes: { segments: 5 },
    },
    {
      about: "no index in range",
      operands: [uniform([3, 2]), givenIntegers([3], [-1, 7, 9])],
      attributes: { segments: 4 },
    },
    {
      about: "whole numbers",
      operands: [wholes([1000, 9]), integers([1000], 0, 6)],
      attributes: { segments: 7 },
      tolerance: EXACT,
    },
    {
      about: "many segments",
      operands: [uniform([300, 5]), integers([300], 0, 8191)],
      attributes: { segments: 8192 },
    },
  ],
  segmentCount: [
    ...TABLES.map(([about, segments, , count]) => ({
      about,
      operands: [integers([count], 0, segments - 1)],
      attributes: { segments },
    })),
    {
      about: "indices out of range",
      operands: [givenIntegers([8], [0, -1, 5, 4, 2147483647, -2147483648, 4, 1000])],
      attributes: { segments: 5 },
    },
    {
      about: "many indices",
      operands: [integers([30_001], 0, 1023)],
      attributes: { segments: 1024 },
    },
  ],
  nearest: DISTANCES.flatMap((distance) => [
    nearest("one query and one key", uniform([1, 1]), uniform([1, 1]), distance),
    nearest("one key", uniform([17, 5]), uniform([1, 5]), distance),
    nearest("one query", uniform([1, 7]), uniform([33, 7]), distance),
    nearest("odd sizes", uniform([33, 7]), uniform([17, 7]), distance),
    nearest("more keys than queries", uniform([9, 16]), uniform([257, 16]), distance),
    nearest("no multiples of a tile", uniform([130, 65]), uniform([67, 65]), distance),
    nearest("a codebook", uniform([1000, 64]), uniform([512, 64]), distance),
    nearest("many keys", uniform([65, 8]), uniform([1025, 8]), distance),
    nearest("great queries", uniform([33, 8], -1e4, 1e4), uniform([65, 8]), distance),
    nearest("noise, one key", uniform([5, 3]), uniform([1, 3]), distance, randomKey(1, "noise")),
    nearest("odd sizes", uniform([33, 7]), uniform([17, 7]), distance, randomKey(2, "noise", 9)),
    nearest(
      "a codebook",
      uniform([257, 32]),
      uniform([513, 32]),
      distance,
      randomKey(2 ** 40 + 3, "noise", 5),
    ),
    nearestExactly("ties", wholes([130, 3], -1, 1), wholes([65, 3], -1, 1), distance),
    nearestExactly("equal keys", wholes([33, 4]), given([67, 4], alike(67, 4)), distance),
    nearestExactly(
      "zero queries",
      given([3, 2], [0, 0, 0, 0, 1, 0]),
      given([4, 2], [0, 1, 0, -1, 1, 0, 1, 0]),
      distance,
    ),
    nearestExactly(
      "NaN among the keys",
      wholes([17, 3]),
      withValues(wholes([19, 3]), { 0: NaN, 20: NaN, 54: NaN, 55: NaN, 56: NaN }),
      distance,
    ),
    nearestExactly(
      "NaN among the queries",
      withValues(wholes([9, 3]), { 3: NaN, 26: NaN }),
      wholes([19, 3]),
      distance,
    ),
    nearestExactly("all keys NaN", wholes([9, 2]), given([5, 2], filled(10, NaN)), distance),
  ]),
  crossEntropy: crossEntropyRows(([rows, classes], targets) => [
    uniform([rows, classes], -4, 4),
    targets,
  ]),
  crossEntropyGradient: crossEntropyRows(([rows, classes], targets) => [
    uniform([rows, classes], -4, 4),
    targets,
    uniform([rows]),
  ]),
  uniform: DRAWS.flatMap(([about, shape, key]) => [
    {
      about: `${about} in [0, 1]`,
      operands: [],
      attributes: { shape, key, low: 0, high: 1 },
      tolerance: EXACT,
    },
    {
      about: `${about} in [−0.3, 2.7]`,
      operands: [],
      attributes: { shape, key, low: -0.3, high: 2.7 },
      tolerance: { absolute: 2 ** -22 },
    },
  ]),
  normal: DRAWS.flatMap(([about, shape, key]) => [
    {
      about,
      operands: [],
      attributes: { shape, key, mean: 0, deviation: 1 },
      tolerance: NORMAL,
    },
    {
      about: `${about}, moved`,
      operands: [],
      attributes: { shape, key, mean: -3, deviation: 0.02 },
      tolerance: NORMAL,
    },
  ]),
  permutation: [1, 2, 17, 1000].map((length) => ({
    about: `${length} elements`,
    operands: [],
    attributes: { length, key: randomKey(length, "permutation") },
  })),

  adam: ([
    ["the first step", [[17]], 1, 0, 0],
    ["a later step", [[7, 33], [1]], 100, 0, 0],
    ["weight decay in the gradient", [[65], [4, 4]], 10, 0.3, 0],
    ["weight decay on the weights", [[65], [3, 5, 7]], 10, 0, 0.01],
    ["many elements", [[5], [70_001], [64]], 1000, 0, 1e-4],
    ["many parameters", Array.from({ length: 61 }, (_, at) => [1 + at * 7 % 11]), 3, 0, 1e-4],
  ] as const).map(([about, shapes, step, regularization, decay]) => {
    const operands = shapes.map((shape) => uniform(shape));
    return {
      about,
      operands,
      into: [...operands, ...operands, ...shapes.map((shape) => uniform(shape, 0, 1))],
      attributes: {
        rate: 3e-2 / (1 - 0.9 ** step),
        beta1: 0.9,
        beta2: 0.999,
        correction: Math.sqrt(1 - 0.999 ** step),
        epsilon: 1e-8,
        regularization,
        decay,
      },
    };
  }),
};

/** The rows of the cross-entropy and of its gradient. */
function crossEntropyRows(
  operandsOf: (shape: readonly [rows: number, classes: number], targets: Operand) => Operand[],
): Row<{ readonly smoothing: number }>[] {
  const rows = ([
    ["one element", 1, 1],
    ["two classes", 7, 2],
    ["odd sizes", 33, 17],
    ["a class more than a vector", 5, 65],
    ["many rows", 1000, 10],
    ["a codebook", 130, 1024],
    ["many classes", 3, 20_000],
  ] as const).flatMap(([about, count, classes]) =>
    [0, 0.1].map((smoothing) => ({
      about: `${about}, smoothing ${smoothing}`,
      operands: operandsOf([count, classes], integers([count], 0, classes - 1)),
      attributes: { smoothing },
    }))
  );
  const withLogits = (logits: Operand, targets: readonly number[]): Operand[] => {
    const [count, classes] = logits.shape;
    const indices = givenIntegers([count], targets);
    return [logits, ...operandsOf([count, classes], indices).slice(1)];
  };
  return [
    ...rows,
    {
      about: "smoothing alone",
      operands: operandsOf([5, 9], integers([5], 0, 8)),
      attributes: { smoothing: 1 },
    },
    {
      about: "rows that are ignored",
      operands: operandsOf([6, 5], givenIntegers([6], [-1, 0, -100, 4, -(2 ** 31), 2])),
      attributes: { smoothing: 0.2 },
    },
    {
      about: "no row that counts",
      operands: operandsOf([3, 5], givenIntegers([3], [-1, -1, -1])),
      attributes: { smoothing: 0 },
    },
    {
      about: "targets that are no class",
      operands: operandsOf([3, 5], givenIntegers([3], [5, 2, 2 ** 31 - 1])),
      attributes: { smoothing: 0 },
      gradient: "undefined",
    },
    {
      about: "great logits",
      operands: withLogits(uniform([9, 33], 900, 1000), [0, 1, 2, 3, 4, 5, 6, 7, 32]),
      attributes: { smoothing: 0 },
    },
    {
      about: "great logits, smoothing",
      operands: withLogits(uniform([9, 33], 900, 1000), [0, 1, 2, 3, 4, 5, 6, 7, 32]),
      attributes: { smoothing: 0.3 },
    },
    {
      about: "a sure answer",
      operands: withLogits(given([2, 3], [1e4, 0, -1e4, 0, 1e4, 0]), [0, 0]),
      attributes: { smoothing: 0 },
    },
    {
      about: "masked by −∞",
      operands: withLogits(
        withValues(uniform([3, 9]), { 0: -Infinity, 5: -Infinity, 17: -Infinity }),
        [1, 3, -1],
      ),
      attributes: { smoothing: 0 },
      gradient: "convention",
    },
    {
      about: "a target masked by −∞",
      operands: withLogits(given([2, 3], [-Infinity, 1, 2, 3, 4, NaN]), [0, 1]),
      attributes: { smoothing: 0 },
      gradient: "undefined",
    },
  ];
}

/** Rows of a gradient that has no gradient itself. */
function notTwice<A>(rows: readonly Row<A>[]): readonly Row<A>[] {
  return rows.map((row) => ({ ...row, gradient: "undefined" }));
}

/** For every token of blocks of so many, the tokens of its block and those before. */
function scales(blocks: readonly number[]): number[] {
  let total = 0;
  return blocks.flatMap((length) => {
    total += length;
    return filled(length, total);
  });
}

function filled(length: number, value: number): number[] {
  return new Array<number>(length).fill(value);
}

/** Whole-numbered keys in which every key comes at least twice. */
function alike(keys: number, width: number): number[] {
  return Array.from({ length: keys * width }, (_, at) => {
    const key = Math.floor(at / width) % 8;
    return (key * 3 + at % width * 5) % 7 - 3;
  });
}
