/** Settings described by zod schemas: the allowed values of each in words, and error messages. */
import * as z from "zod";
import { nearestName } from "./nearest_name.ts";

/** One setting of a schema. */
export interface Setting {
  /** Its path: `model.hidden`. */
  readonly path: string;
  /** What it means. */
  readonly description: string;
  /** The allowed values, in words. */
  readonly allowed: string;
  /** The type of its value. */
  readonly kind: "boolean" | "number" | "numbers" | "string";
  /** Its default value. */
  readonly default: unknown;
}

/** What zod's JSON schemas contain for a setting or a section of settings. */
interface Description {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minLength?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
  readonly multipleOf?: number;
  readonly anyOf?: readonly Description[];
  readonly items?: Description;
  readonly properties?: Readonly<Record<string, Description>>;
}

/** The settings of each schema that was listed: a schema does not change, and to describe it takes milliseconds. */
const listed = new WeakMap<z.ZodType, readonly Setting[]>();

/** Lists all settings of a schema of plain objects, in order. A nested object is a section of the path.
 *
 * ```ts
 * import { settingsOf } from "./settings.ts";
 * import * as z from "zod";
 * import assert from "node:assert/strict";
 * const schema = z.strictObject({ model: z.strictObject({ hidden: z.int().min(1).default(8) }) });
 * const [hidden] = settingsOf(schema);
 * assert.equal(hidden.path, "model.hidden");
 * assert.equal(hidden.allowed, "an integer of at least 1");
 * ```
 */
export function settingsOf(schema: z.ZodType): readonly Setting[] {
  let settings = listed.get(schema);
  if (settings === undefined) {
    settings = flatten(z.toJSONSchema(schema, { io: "input" }) as Description, "");
    listed.set(schema, settings);
  }
  return settings;
}

/** Checks the settings in `given` and fills in the schema's defaults.
 * @param action what the caller is doing, for error messages: "read the configuration"
 * @throws {RangeError} a setting is unknown (with the nearest known one) or has a value that is not allowed
 */
export function readSettings<T>(schema: z.ZodType<T>, given: unknown, action: string): T {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const { issues } = result.error;
  const unknown = issues.find((issue) => issue.code === "unrecognized_keys");
  const reason = unknown === undefined
    ? explainValue(schema, given, issues[0].path.join("."))
    : explainName(schema, [...unknown.path, unknown.keys[0]].join("."));
  throw new RangeError(`Cannot ${action}: ${reason}`);
}

/** Formats a value for messages. */
export function showSetting(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "none";
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

/** The path of the setting that was probably meant; undefined if none is similar.
 *
 * ```ts
 * import { nearestSetting } from "./settings.ts";
 * import assert from "node:assert/strict";
 * const known = ["model.hidden", "optimizer.learningRate", "optimizer.floor"];
 * assert.equal(nearestSetting("model.hiden", known), "model.hidden");
 * assert.equal(nearestSetting("optimiser.floor", known), "optimizer.floor");
 * assert.equal(nearestSetting("learningRate", known), "optimizer.learningRate");
 * ```
 * @param known the paths of all settings
 */
export function nearestSetting(path: string, known: readonly string[]): string | undefined {
  const [section, name] = splitPath(path);
  const siblings = known.filter((other) => splitPath(other)[0] === section);
  if (section === "" || siblings.length === 0) return nearestName(path, known);
  return nearestName(name, siblings) ?? nearestName(name, known);
}

function flatten(node: Description, path: string): Setting[] {
  if (node.properties !== undefined) {
    return Object.entries(node.properties).flatMap(([name, child]) =>
      flatten(child, path === "" ? name : `${path}.${name}`)
    );
  }
  const { description = "", default: value } = node;
  return [{ path, description, allowed: allowedValues(node), kind: kindOf(node), default: value }];
}

function kindOf(node: Description): Setting["kind"] {
  const { type } = node.anyOf?.[0] ?? node;
  if (type === "array") return "numbers";
  return type === "boolean" ? type : type === "integer" || type === "number" ? "number" : "string";
}

function allowedValues(node: Description): string {
  if (node.anyOf !== undefined) return `${allowedValues(node.anyOf[0])}, or none`;
  if (node.enum !== undefined) {
    const last = node.enum.length - 1;
    const rest = node.enum.slice(0, last).join(", ");
    return rest === "" ? `${node.enum[last]}` : `${rest} or ${node.enum[last]}`;
  }
  switch (node.type) {
    case "boolean":
      return "true or false";
    case "integer":
      return `an ${node.multipleOf === 2 ? "even " : ""}integer${showRange(node)}`;
    case "number":
      return `a number${showRange(node)}`;
    case "array":
      return `one or more, separated by commas, each ${allowedValues(node.items ?? {})}`;
    default:
      return "non-empty text";
  }
}

function showRange({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Description): string {
  const low = minimum ?? exclusiveMinimum;
  const high = maximum === Number.MAX_SAFE_INTEGER ? exclusiveMaximum : maximum ?? exclusiveMaximum;
  if (low === undefined) return "";
  if (high === undefined) return minimum === undefined ? ` above ${low}` : ` of at least ${low}`;
  const [open, close] = [minimum === undefined ? "(" : "[", high === maximum ? "]" : ")"];
  return ` in ${open}${low}, ${high}${close}`;
}

function explainValue(schema: z.ZodType, given: unknown, path: string): string {
  const at = (place: string) =>
    showSetting(
      place === "" ? given : place.split(".").reduce(
        (value: unknown, name) => (value as Record<string, unknown> | undefined)?.[name],
        given,
      ),
    );
  const settings = settingsOf(schema);
  const setting = settings.find((other) => `${path}.`.startsWith(`${other.path}.`));
  if (setting !== undefined) {
    return `${setting.path} must be ${setting.allowed}, got ${at(setting.path)}`;
  }
  const inside = path === "" ? settings : settings.filter((s) => s.path.startsWith(`${path}.`));
  const names = inside.map((other) => other.path).join(", ");
  return `${path || "it"} must be an object that holds some of ${names}, got ${at(path)}`;
}

function explainName(schema: z.ZodType, path: string): string {
  const known = settingsOf(schema).map((setting) => setting.path);
  const sections = [...new Set(known.map((other) => other.split(".")[0]))];
  const nearest = nearestSetting(path, known) ?? nearestName(path, sections);
  if (nearest !== undefined) return `there is no setting ${path}, did you mean ${nearest}?`;
  const siblings = known.filter((other) => splitPath(other)[0] === splitPath(path)[0]);
  const beside = path.includes(".") ? siblings : sections;
  return `there is no setting ${path}, the choices are ${beside.join(", ")}`;
}

/** The section and the name of a path; the section of a path without a dot is "". */
function splitPath(path: string): [section: string, name: string] {
  const dot = path.lastIndexOf(".");
  return [path.slice(0, Math.max(0, dot)), path.slice(dot + 1)];
}
