/** The types of the settings of every method in the registry. */
import type { ClusteredSettings } from "./clustered.ts";
import type { ClusteredEmaSettings } from "./clustered_ema.ts";
import type { EmaSettings } from "./ema.ts";
import type { FSQSettings } from "./fsq.ts";
import type { GumbelSettings } from "./gumbel.ts";
import type { HardFeaturesSettings } from "./hard_features.ts";
import type { LFQSettings } from "./lfq.ts";
import type { MultiScaleSettings } from "./multi_scale.ts";
import type { NearCodesSettings } from "./near_codes.ts";
import type { NormalizationSettings } from "./normalized.ts";
import type { PerturbationSettings } from "./perturbed.ts";
import type { ProductSettings } from "./product.ts";
import type { LookupSettings } from "./projected.ts";
import type { ResidualSettings } from "./residual.ts";
import type { SimVQSettings } from "./simvq.ts";
import type { SQSettings } from "./sq.ts";
import type { VanillaSettings } from "./vanilla.ts";
import type { VQWAESettings } from "./vq_wae.ts";
import type { WarmupSettings } from "./code_warmup.ts";

/** Settings of every method outside a composite one. */
export type OuterSettings = NormalizationSettings & WarmupSettings;

/** Settings of every method that keeps a codebook. */
export type CodebookExtras = LookupSettings & PerturbationSettings;

/** Settings that a quantiser inside a composite one does not have. */
export type OuterSetting = keyof OuterSettings | keyof PerturbationSettings;

/** The complete settings of each method by its name. The registry has a schema for each of them. */
export interface MethodSettings {
  /** `VanillaQuantizer`. */
  readonly vanilla: VanillaSettings & CodebookExtras & OuterSettings;
  /** `ClusteredQuantizer`. */
  readonly clustered: ClusteredSettings & CodebookExtras & OuterSettings;
  /** `EmaQuantizer`. */
  readonly ema: EmaSettings & CodebookExtras & OuterSettings;
  /** `ClusteredEmaQuantizer`. */
  readonly "clustered-ema": ClusteredEmaSettings & CodebookExtras & OuterSettings;
  /** `NearCodesQuantizer`. */
  readonly "near-codes": NearCodesSettings & CodebookExtras & OuterSettings;
  /** `HardFeaturesQuantizer`. */
  readonly "hard-features": HardFeaturesSettings & CodebookExtras & OuterSettings;
  /** `FSQQuantizer`. */
  readonly fsq: FSQSettings & OuterSettings;
  /** `LFQQuantizer`. */
  readonly lfq: LFQSettings & OuterSettings;
  /** `SimVQQuantizer`. */
  readonly simvq: SimVQSettings & CodebookExtras & OuterSettings;
  /** `GumbelQuantizer`. */
  readonly gumbel: GumbelSettings & OuterSettings;
  /** `SQQuantizer`. */
  readonly sq: SQSettings & OuterSettings;
  /** `VQWAEQuantizer`. */
  readonly "vq-wae": VQWAESettings & CodebookExtras & OuterSettings;
  /** `ResidualQuantizer`. */
  readonly residual: ResidualSettings;
  /** `ProductQuantizer`. */
  readonly product: ProductSettings;
  /** `MultiScaleQuantizer`. */
  readonly "multi-scale": MultiScaleSettings & NormalizationSettings;
}

/** The inner quantiser of a composite one. It is an interface because the inner one may be composite again. */
export interface WithInner {
  /** Settings of the inner quantiser; without them, the default method. */
  readonly inner?: InnerQuantizerSettings;
}

/** A method and its settings; for a composite one also those of its inner quantiser. */
export type ChosenMethod<Type extends keyof MethodSettings, Left extends string> =
  & { readonly type: Type }
  & Partial<Omit<MethodSettings[Type], Left>>
  & (Type extends "residual" | "product" | "multi-scale" ? WithInner : unknown);

/** The input of `createQuantizer`: the name of a method, and the settings that differ from its defaults. */
export type QuantizerSettings = {
  readonly [Type in keyof MethodSettings]: ChosenMethod<Type, never>;
}[keyof MethodSettings];

/** The same for a quantiser inside a composite one; without a type, the default method. */
export type InnerQuantizerSettings =
  | { readonly [Type in keyof MethodSettings]: ChosenMethod<Type, OuterSetting> }[
    keyof MethodSettings
  ]
  | (
    & { readonly type?: undefined }
    & Partial<
      Omit<MethodSettings["clustered-ema"], OuterSetting>
    >
  );

/** Changes to the settings of a quantiser. The method may be named here or elsewhere, so settings of any method are
 * allowed. */
export type QuantizerChanges =
  | QuantizerSettings
  | {
    readonly [Name in NamesIn<QuantizerSettings>]?: Name extends "type" ? undefined
      : ValuesIn<QuantizerSettings, Name>;
  };

/** The names of the fields of all types of a union. */
export type NamesIn<Union> = Union extends unknown ? keyof Union : never;

/** The type of a field over all types of a union. */
export type ValuesIn<Union, Name> = Union extends unknown ? Name extends keyof Union ? Union[Name]
  : never
  : never;
