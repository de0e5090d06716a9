/** Max pooling and its gradient. */
import type { Kernels, View } from "../../backend.ts";
import type { MaxPoolName, PoolAttributes } from "../../ops.ts";
import { sizeOf } from "../../shape.ts";
import { floatFunctions } from "../float_functions.ts";
import { type Launcher, WORKGROUP_SIZE, workgroupsFor } from "../launch.ts";
import { checkLoops } from "../loop_budget.ts";
import type { WebGpuBuffer } from "../memory.ts";

/** The common part of both shaders: the shapes as constants, four channels at a time if they divide evenly, and the
 * offsets of elements of the images and of the pooled maps. */
function prologue(
  images: View,
  pooled: View,
  { size, stride, padding }: PoolAttributes,
): { readonly key: string; readonly vector: 1 | 4; readonly declarations: string } {
  const [, height, width, channels] = images.shape;
  const [, rows, columns] = pooled.shape;
  const vector = channels % 4 === 0 ? 4 : 1;
  const constants = { height, width, channels: channels / vector, rows, columns };
  const pairs = { size, stride, padding };
  const declarations = [
    ...Object.entries(constants).map(([name, value]) => `const ${name} = ${value};`),
    ...Object.entries(pairs).map(([name, [y, x]]) => `const ${name} = vec2<i32>(${y}, ${x});`),
    floatFunctions(vector, ["special"]),
    "fn in_images(image: i32, y: i32, x: i32, c: i32) -> u32 {",
    "  return u32(((image * height + y) * width + x) * channels + c); }",
    "fn in_pooled(image: i32, y: i32, x: i32, c: i32) -> u32 {",
    "  return u32(((image * rows + y) * columns + x) * channels + c); }",
  ].join("\n");
  return { key: JSON.stringify([constants, pairs]), vector, declarations };
}

/** The position of the thread's element among `width` columns and `height` rows. */
const place = (width: string, height: string): string => `
  if (index >= numbers.count) { return; }
  let at = i32(index);
  let c = at % channels;
  let x = (at / channels) % ${width};
  let y = (at / channels / ${width}) % ${height};
  let image = at / channels / ${width} / ${height};`;

/** The kernels of max pooling. */
export function maxPoolKernels(launcher: Launcher): Pick<Kernels<WebGpuBuffer>, MaxPoolName> {
  return {
    maxPool: ([images], [output], attributes) => {
      const { size: [down, across] } = attributes;
      checkLoops(launcher, "maxPool", down * (across + 2));
      const { key, vector, declarations } = prologue(images, output, attributes);
      const count = sizeOf(output.shape) / vector;
      const type = vector === 4 ? "vec4<f32>" : "f32";
      launcher.launch({
        key: `maxPool/${key}`,
        shader: () => ({
          inputs: [`images: ${type}`],
          outputs: [`pooled: ${type}`],
          numbers: ["count: u32"],
          workgroupSize: WORKGROUP_SIZE,
          declarations,
          body: `${place("columns", "rows")}
  let start = vec2<i32>(y, x) * stride - padding;
  let end = min(start + size, vec2<i32>(height, width));
  var greatest = -infinity();
  for (var i = max(start.x, 0); i < end.x; i++) {
    for (var j = max(start.y, 0); j < end.y; j++) {
      let value = images[in_images(image, i, j, c)];
      greatest = select(greatest, value, (value > greatest) | is_nan(value));
    }
  }
  pooled[index] = greatest;`,
        }),
        inputs: [images.buffer],
        outputs: [output.buffer],
        numbers: [count],
        workgroups: workgroupsFor(count),
      });
    },
    maxPoolGradient: ([images, pooled, gradient], [output], attributes) => {
      const { size: [down, across], stride } = attributes;
      const [above, beside] = [Math.ceil(down / stride[0]), Math.ceil(across / stride[1])];
      const window = down * (across + 2) + 2;
      checkLoops(launcher, "maxPoolGradient", above * (beside * window + 2));
      const { key, vector, declarations } = prologue(images, pooled, attributes);
      const count = sizeOf(output.shape) / vector;
      const type = vector === 4 ? "vec4<f32>" : "f32";
      launcher.launch({
        key: `maxPoolGradient/${key}`,
        shader: () => ({
          inputs: [`images: ${type}`, `pooled: ${type}`, `gradient: ${type}`],
          outputs: [`shares: ${type}`],
          numbers: ["count: u32"],
          workgroupSize: WORKGROUP_SIZE,
          declarations,
          // Windows that contain the pixel; in each, whether an earlier pixel is at least as large.
          body: `${place("width", "height")}
  let value = images[index];
  let own = vec2<i32>(y, x) + padding;
  let first = max(own - size + stride, vec2<i32>(0)) / stride;
  let last = min(own / stride, vec2<i32>(rows, columns) - 1);
  var sum = F(0.0);
  for (var p = first.x; p <= last.x; p++) {
    for (var q = first.y; q <= last.y; q++) {
      let start = max(vec2<i32>(p, q) * stride - padding, vec2<i32>(0));
      let right = min(q * stride.y - padding.y + size.y, width);
      let greatest = pooled[in_pooled(image, p, q, c)];
      var takes = value == greatest;
      for (var i = start.x; i <= y; i++) {
        let end = select(x, right, i < y);
        for (var j = start.y; j < end; j++) {
          takes = takes & (images[in_images(image, i, j, c)] != greatest);
        }
      }
      sum += select(F(0.0), gradient[in_pooled(image, p, q, c)], takes);
    }
  }
  shares[index] = sum;`,
        }),
        inputs: [images.buffer, pooled.buffer, gradient.buffer],
        outputs: [output.buffer],
        numbers: [count],
        workgroups: workgroupsFor(count),
      });
    },
  };
}
