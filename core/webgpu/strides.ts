/** WGSL that steps through the operands of a kernel. */
import type { Walk } from "../walk.ts";

/** Whether the last axis can be walked four elements at a time: each operand moves by whole vectors or not at all. */
export function walksByFour({ sizes, strides }: Walk): boolean {
  const last = sizes.length - 1;
  return (last === 0 || sizes[last] % 4 === 0) && strides.every((own) =>
    own[last] === 0 ||
    (own[last] === 1 && own.every((stride, axis) => axis === last || stride % 4 === 0))
  );
}

/** Identifies a walk in a shader's key. The shader does not depend on the length of the first axis. */
export function walkKey({ sizes, strides }: Walk, width: number): string {
  return `${width}/${sizes.slice(1).join("x")}/${strides.map((own) => own.join(",")).join("/")}`;
}

/** WGSL that turns `position` into `at0`, `at1`, …: each operand's offset, in vectors of `width` if it moves by
 * vectors, in elements if it does not move along the last axis. */
export function walkWgsl({ sizes, strides }: Walk, width: number, position = "index"): string {
  const last = sizes.length - 1;
  const lines: string[] = [];
  let rest = position;
  for (let axis = last; axis > 0; axis--) {
    const length = axis === last ? sizes[axis] / width : sizes[axis];
    lines.push(
      `  let step${axis} = ${rest} % ${length}u;`,
      `  let rest${axis} = ${rest} / ${length}u;`,
    );
    rest = `rest${axis}`;
  }
  lines.push(`  let step0 = ${rest};`);
  strides.forEach((own, operand) => {
    const terms = own.flatMap((stride, axis) => {
      if (stride === 0) return [];
      const unit = own[last] === 0 || axis === last ? stride : stride / width;
      return [unit === 1 ? `step${axis}` : `step${axis} * ${unit}u`];
    });
    lines.push(`  let at${operand} = ${terms.join(" + ") || "0u"};`);
  });
  return lines.join("\n");
}
