/** Group normalisation with gain and shift, and SiLU, in one pass over the output: [batch, positions, channels]. */
import { GroupNorm } from "./group_norm_job";
import { gradientGroup, normalizeGroup, partGroups } from "./group_norm_groups";
import { gradientLanes, isInLanes, normalizeLanes, partLanes, spanOf } from "./group_norm_lanes";
import { gradientRow, isInRows, normalizeRow, partRows } from "./group_norm_rows";
import { sumParts } from "./parts";
import { job, parallel } from "./pool";

/** The approximate number of elements in a task. */
const CHUNK: i32 = 8192;
/** The number of elements in a part of the sums over all positions, and the maximum number of parts. */
const PART: i32 = 65536;
const MOST_PARTS: i32 = 64;

/** The number of positions, over all samples, in a part of the sums. */
function partLength(n: GroupNorm): i32 {
  const rows = n.batch * n.positions;
  const least = (rows + MOST_PARTS - 1) / MOST_PARTS;
  return max(max(PART / n.channels, 1), least);
}

/** Sums over a part of all positions: first for gain, then for shift. */
function partTask(index: i32): void {
  const n = changetype<GroupNorm>(job);
  const rows = n.batch * n.positions, length = partLength(n);
  const stride = <usize> n.channels << 2;
  const gains = n.out + <usize> index * 2 * stride, shifts = gains + stride;
  const from = index * length, to = min(from + length, rows);
  if (isInRows(n)) partRows(n, from, to, gains, shifts);
  else if (isInLanes(n)) partLanes(n, from, to, gains, shifts);
  else partGroups(n, from, to, gains, shifts);
}

/** The number of channels that are normalised together: one group, or the groups of a vector of four. */
function unitWidth(n: GroupNorm): i32 {
  return isInLanes(n) ? spanOf(n) : n.channels / n.groups;
}

function unitsPerTask(n: GroupNorm): i32 {
  return max(1, CHUNK / (n.positions * unitWidth(n)));
}

function lastUnit(n: GroupNorm, index: i32): i32 {
  return min((index + 1) * unitsPerTask(n), n.batch * (n.channels / unitWidth(n)));
}

function tasks(): i32 {
  const n = changetype<GroupNorm>(job), each = unitsPerTask(n);
  return (n.batch * (n.channels / unitWidth(n)) + each - 1) / each;
}

export function groupNorm(): void {
  parallel((index) => {
    const n = changetype<GroupNorm>(job), last = lastUnit(n, index), lanes = isInLanes(n), rows = isInRows(n);
    for (let unit = index * unitsPerTask(n); unit < last; unit++) {
      if (rows) normalizeRow(unit);
      else if (lanes) normalizeLanes(unit);
      else normalizeGroup(unit);
    }
  }, tasks());
}

export function groupNormGradient(): void {
  parallel((index) => {
    const n = changetype<GroupNorm>(job), last = lastUnit(n, index), lanes = isInLanes(n), rows = isInRows(n);
    for (let unit = index * unitsPerTask(n); unit < last; unit++) {
      if (rows) gradientRow(unit);
      else if (lanes) gradientLanes(unit);
      else gradientGroup(unit);
    }
  }, tasks());
}

export function groupNormParts(): i32 {
  const n = changetype<GroupNorm>(job), length = partLength(n);
  return (n.batch * n.positions + length - 1) / length;
}

/** @param partials room for groupNormParts() · 2 · channels floats */
export function groupNormParameterGradient(partials: usize): void {
  const n = changetype<GroupNorm>(job);
  const parts = groupNormParts(), out = n.out, size = 2 * n.channels;
  n.out = partials;
  parallel(partTask, parts);
  sumParts(partials, out, size, parts);
}
