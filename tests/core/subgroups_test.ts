/** Which devices have subgroups, and which shaders use them. Runs without a GPU. */
import assert from "node:assert/strict";
import type { View } from "../../core/backend.ts";
import type { Shape } from "../../core/shape.ts";
import { attentionKernels } from "../../core/webgpu/kernels/attention.ts";
import { crossEntropyKernels } from "../../core/webgpu/kernels/cross_entropy.ts";
import { groupNormKernels } from "../../core/webgpu/kernels/group_norm.ts";
import { normalizationKernels } from "../../core/webgpu/kernels/normalization.ts";
import { reductionKernels } from "../../core/webgpu/kernels/reductions.ts";
import type { Launcher } from "../../core/webgpu/launch.ts";
import type { WebGpuBuffer } from "../../core/webgpu/memory.ts";
import { wgslOf } from "../../core/webgpu/program.ts";
import { findSubgroups, showSizes, type SubgroupSizes } from "../../core/webgpu/subgroups.ts";
import { tilingsFor } from "../../core/webgpu/tilings.ts";

const LIMITS = {
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxStorageBuffersPerShaderStage: 10,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeWorkgroupsPerDimension: 65_535,
};

const DIRECTIVE = "enable subgroups;";

/** A launcher of a real GPU that runs nothing, and the shaders that it was given, by their keys. */
function recorder(
  subgroups: SubgroupSizes | undefined,
): { readonly launcher: Launcher; readonly shaders: Map<string, string> } {
  const shaders = new Map<string, string>();
  const [tiling] = tilingsFor(false, LIMITS);
  const launcher: Launcher = {
    isSoftware: false,
    tilings: { matmul: tiling, convolution: tiling },
    precision: "float32",
    subgroups,
    limits: LIMITS,
    launch: ({ key, shader }) => void shaders.set(key, wgslOf(shader(), DIRECTIVE)),
    scratch: () => ({}) as WebGpuBuffer,
    write: () => {},
  };
  return { launcher, shaders };
}

const view = (shape: Shape): View<WebGpuBuffer> => ({
  shape,
  dtype: "float32",
  buffer: {} as WebGpuBuffer,
});

/** The shaders of kernels that fold, with the names of the kernels. */
function foldingShaders(subgroups: SubgroupSizes | undefined): Map<string, string> {
  const { launcher, shaders } = recorder(subgroups);
  const x = view([2, 1000, 1]), line = view([2, 1, 1]);
  const images = view([2, 64, 32]), ofChannels = view([32]), ofGroups = view([2, 8]);
  const reductions = reductionKernels(launcher);
  for (const name of ["sum", "max", "argmax", "logsumexp"] as const) {
    reductions[name]([x], [line], {});
  }
  reductions.softmax([x], [x], {});
  const normalization = normalizationKernels(launcher), groups = 8, epsilon = 1e-5;
  normalization.normalize([images], [images, ofGroups], { groups, epsilon });
  normalization.normalizeGradient([images, ofGroups, images], [images], { groups });
  const norm = { groups, epsilon, centred: true, silu: true };
  const groupNorm = groupNormKernels(launcher);
  groupNorm.groupNorm([images, ofChannels, ofChannels], [images, view([2, 8, 2])], norm);
  groupNorm.groupNormGradient(
    [images, view([2, 8, 2]), images, ofChannels, ofChannels],
    [images],
    norm,
  );
  const heads = view([1, 70, 2, 16]);
  const attributes = { causal: false, scale: 1 };
  attentionKernels(launcher).attention(
    [heads, heads, heads],
    [heads, view([1, 70, 2])],
    attributes,
  );
  const losses = crossEntropyKernels(launcher);
  losses.crossEntropy([view([3, 1000]), view([3])], [view([3])], { smoothing: 0 });
  return shaders;
}

Deno.test("kernels fold with subgroups if the device has them, and name the feature", () => {
  const with32 = foldingShaders({ least: 32, most: 32 });
  const users = [...with32].filter(([, wgsl]) => /subgroup[A-Z]/.test(wgsl));
  const names = users.map(([key]) => key.split("/")[0]);
  assert.deepEqual(names, [
    ...["sum", "max", "argmax", "logsumexp", "softmaxHeld"],
    ...["normalizeHeld", "normalizeGradientHeld", "groupNormHeld", "groupNormGradientHeld"],
    ...["attention", "softmaxPair"],
  ]);
  for (const [key, wgsl] of with32) {
    assert.equal(wgsl.startsWith(DIRECTIVE), /subgroup[A-Z]/.test(wgsl), key);
  }
});

Deno.test("without subgroups no shader mentions them", () => {
  const plain = foldingShaders(undefined);
  assert.ok(plain.size > 10);
  for (const [key, wgsl] of plain) assert.doesNotMatch(wgsl, /subgroup/, key);
});

Deno.test("attention exchanges only as many values as the smallest subgroup has threads", () => {
  const shuffles = (least: number): number => {
    const wgsl = [...foldingShaders({ least, most: 64 })]
      .find(([key]) => key.startsWith("attention/"))?.[1] ?? "";
    return wgsl.match(/most = max\(most, subgroupShuffleXor/g)?.length ?? 0;
  };
  assert.deepEqual([4, 8, 16, 32].map(shuffles), [2, 3, 3, 3], "8 threads share a row of 16");
});

/** A device whose shader compiler accepts some texts. */
function compiler(features: readonly string[], accepts: (code: string) => boolean): GPUDevice {
  let refused = false;
  const device = {
    features: new Set(features),
    pushErrorScope: () => void (refused = false),
    createShaderModule: ({ code }: { readonly code: string }) => void (refused = !accepts(code)),
    createComputePipeline: () => {},
    popErrorScope: () => Promise.resolve(refused ? new Error("refused") : null),
  };
  return device as unknown as GPUDevice;
}

Deno.test("a device uses subgroups as its shader compiler does, or not at all", async () => {
  const info = { subgroupMinSize: 8, subgroupMaxSize: 32 } as GPUAdapterInfo;
  const sizes = { least: 8, most: 32 };
  const find = (accepts: (code: string) => boolean, features = ["subgroups"]) =>
    findSubgroups(compiler(features, accepts), info);
  const knows = (code: string) => code.startsWith(DIRECTIVE);
  assert.deepEqual(await find(knows), { ...sizes, directive: DIRECTIVE });
  assert.deepEqual(await find((code) => !knows(code)), { ...sizes, directive: "" });
  assert.equal(await find(() => false), undefined);
  assert.equal(await find(() => true, []), undefined, "without the feature");
});

Deno.test("subgroups are shown with the sizes they can have", () => {
  assert.equal(showSizes({ least: 32, most: 32 }), "32");
  assert.equal(showSizes({ least: 8, most: 32 }), "8 to 32");
});
