/** Metrics that compare images and measure codebooks.
 *
 * @module
 */
export * from "./class_share.ts";
export * from "./codebook.ts";
export * from "./digit_features.ts";
export * from "./feature_metrics.ts";
export * from "./feature_statistics.ts";
export * from "./frechet.ts";
export {
  ImageClassifier,
  type ImageClassifierOptions,
  type LabelledImages,
  trainImageClassifier,
} from "./image_classifier.ts";
export * from "./image_metric.ts";
export { type Images } from "./images.ts";
export * from "./inception_score.ts";
export * from "./kernel_distance.ts";
export * from "./lpips.ts";
export * from "./mae.ts";
export * from "./ms_ssim.ts";
export {
  INCEPTION_FILE,
  type MetricKind,
  type MetricOptions,
  type SharedDigits,
  type SharedInception,
  type SharedLearnt,
  SharedNetworks,
} from "./metric_kinds.ts";
export * from "./mse.ts";
export { AlexNet } from "./networks/alexnet.ts";
export { InceptionV3 } from "./networks/inception.ts";
export { type FrozenConvolution } from "./networks/layers.ts";
export { resizeBilinear } from "./networks/resize.ts";
export { SqueezeNet } from "./networks/squeezenet.ts";
export { Vgg16 } from "./networks/vgg16.ts";
export * from "./networks/weights.ts";
export * from "./precision_recall.ts";
export * from "./psnr.ts";
export * from "./psnr_metrics.ts";
export * from "./reconstruction.ts";
export * from "./registry.ts";
export * from "./sharpness.ts";
export { imageSsim, type SsimOptions } from "./ssim.ts";
export * from "./statistics_file.ts";
