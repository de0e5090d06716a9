/** The sampling settings that all generators of codes have in common. */
import * as z from "zod";
import { CHOICE_SETTINGS, type ChoiceSettings } from "./samplers/choice.ts";

/** The sampling settings of every generator of codes. */
export interface CodeSamplingSettings extends ChoiceSettings {
  /** The scale of classifier-free guidance: 0 gives the logits without a class, 1 those with the class, and larger
   * values extrapolate beyond them. */
  readonly guidance: number;
}

/** The schema of these settings. */
export const CODE_SAMPLING: z.ZodObject<
  { readonly [Name in keyof CodeSamplingSettings]: z.ZodType<CodeSamplingSettings[Name]> },
  z.core.$strict
> = z.strictObject({
  ...CHOICE_SETTINGS,
  guidance: z.number().min(0).default(1)
    .describe(
      "scale of classifier-free guidance: 1 samples as the model learned, larger values follow the class more strongly",
    ),
});
