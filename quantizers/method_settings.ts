/** The settings of every method in the registry, for the compiler. */
import type { ClusteredSettings } from "./clustered.ts";
import type { ClusteredEmaSettings } from "./clustered_ema.ts";
import type { EmaSettings } from "./ema.ts";
import type { FSQSettings } from "./fsq.ts";
import type { GumbelSettings } from "./gumbel.ts";
import type { HardFeaturesSettings } from "./hard_features.ts";
import type { LFQSettings } from "./lfq.ts";
import type { NearCodesSettings } from "./near_codes.ts";
import type { NormalizationSettings } from "./normalized.ts";
import type { ProductSettings } from "./product.ts";
import type { LookupSettings } from "./projected.ts";
import type { ResidualSettings } from "./residual.ts";
import type { SimVQSettings } from "./simvq.ts";
import type { SQSettings } from "./sq.ts";
import type { VanillaSettings } from "./vanilla.ts";
import type { VQWAESettings } from "./vq_wae.ts";
import type { WarmupSettings } from "./code_warmup.ts";

/** Settings that a quantiser inside another does not have. */
export type OuterSettings = NormalizationSettings & WarmupSettings;

/** The settings of each method by its name, without gaps. The registry's table has a schema for each of them. */
export interface MethodSettings {
  /** `VanillaQuantizer`. */
  readonly vanilla: VanillaSettings & LookupSettings & OuterSettings;
  /** `ClusteredQuantizer`. */
  readonly clustered: ClusteredSettings & LookupSettings & OuterSettings;
  /** `EmaQuantizer`. */
  readonly ema: EmaSettings & LookupSettings & OuterSettings;
  /** `ClusteredEmaQuantizer`. */
  readonly "clustered-ema": ClusteredEmaSettings & LookupSettings & OuterSettings;
  /** `NearCodesQuantizer`. */
  readonly "near-codes": NearCodesSettings & LookupSettings & OuterSettings;
  /** `HardFeaturesQuantizer`. */
  readonly "hard-features": HardFeaturesSettings & LookupSettings & OuterSettings;
  /** `FSQQuantizer`. */
  readonly fsq: FSQSettings & OuterSettings;
  /** `LFQQuantizer`. */
  readonly lfq: LFQSettings & OuterSettings;
  /** `SimVQQuantizer`. */
  readonly simvq: SimVQSettings & LookupSettings & OuterSettings;
  /** `GumbelQuantizer`. */
  readonly gumbel: GumbelSettings & OuterSettings;
  /** `SQQuantizer`. */
  readonly sq: SQSettings & OuterSettings;
  /** `VQWAEQuantizer`. */
  readonly "vq-wae": VQWAESettings & LookupSettings & OuterSettings;
  /** `ResidualQuantizer`. */
  readonly residual: ResidualSettings;
  /** `ProductQuantizer`. */
  readonly product: ProductSettings;
}

/** What a composite quantiser is made of; an interface, since it may be composite again. */
export interface WithInner {
  /** Of the default method where none is given. */
  readonly inner?: InnerQuantizerSettings;
}

/** A method with settings of its own; a composite one with those of what it is made of. */
export type ChosenMethod<Type extends keyof MethodSettings, Left extends string> =
  & { readonly type: Type }
  & Partial<Omit<MethodSettings[Type], Left>>
  & (Type extends "residual" | "product" ? WithInner : unknown);

/** What `createQuantizer` makes a quantiser of: a method by name, and what differs from its defaults. */
export type QuantizerSettings = {
  readonly [Type in keyof MethodSettings]: ChosenMethod<Type, never>;
}[keyof MethodSettings];

/** The same for a quantiser inside another; without a type, of the default one. */
export type InnerQuantizerSettings =
  | { readonly [Type in keyof MethodSettings]: ChosenMethod<Type, keyof OuterSettings> }[
    keyof MethodSettings
  ]
  | (
    & { readonly type?: undefined }
    & Partial<
      Omit<MethodSettings["clustered-ema"], keyof OuterSettings>
    >
  );

/** Settings over those of a quantiser whose method is said elsewhere, or of one that is named here: any method's. */
export type QuantizerChanges =
  | QuantizerSettings
  | {
    readonly [Name in NamesIn<QuantizerSettings>]?: Name extends "type" ? undefined
      : ValuesIn<QuantizerSettings, Name>;
  };

/** The names of the fields of all types of a union. */
export type NamesIn<Union> = Union extends unknown ? keyof Union : never;

/** What a field of the types of a union may be. */
export type ValuesIn<Union, Name> = Union extends unknown ? Name extends keyof Union ? Union[Name]
  : never
  : never;
