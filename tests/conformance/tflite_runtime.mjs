// TensorFlow Lite's own interpreter, as npm's @tensorflow/tfjs-tflite has it in WebAssembly, under Node.
//   const tflite = await open_tflite(NODE_MODULES);
//   const {inputs, outputs} = tflite.run(BYTES, (name, dims) => Float32Array);
// Tensors are {name, dims, data}. Float inputs and outputs only. The interpreter lacks MediaPipe's op
// Convolution2DTransposeBias, with which its segmenters end: what leads up to that is run there, and the rest here.
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';

// A table of a flatbuffer (https://flatbuffers.dev/internals), by field number.
class Table {
  constructor(view, at) { this.view = view; this.at = at; }
  field(i) {
    const table = this.at - this.view.getInt32(this.at, true), entry = 4 + 2 * i;
    const offset = entry < this.view.getUint16(table, true) ? this.view.getUint16(table + entry, true) : 0;
    return offset && this.at + offset;
  }
  follow(at) { return at + this.view.getUint32(at, true); }
  scalar(i) { const at = this.field(i); return at ? this.view.getInt32(at, true) : 0; }
  vector(i) {  // where its elements are, and how many
    const at = this.follow(this.field(i));
    return {at: at + 4, size: this.view.getUint32(at, true)};
  }
  integers(i) {
    const {at, size} = this.vector(i);
    return Array.from({length: size}, (_, k) => this.view.getInt32(at + 4 * k, true));
  }
  tables(i) {
    const {at, size} = this.vector(i);
    return Array.from({length: size}, (_, k) => new Table(this.view, this.follow(at + 4 * k)));
  }
  text(i) {
    const {at, size} = this.field(i) ? this.vector(i) : {at: 0, size: 0};
    return Buffer.from(this.view.buffer, this.view.byteOffset + at, size).toString();
  }
}

const root_of = (bytes) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Table(view, view.getUint32(0, true));
};
const main_of = (bytes) => root_of(bytes).tables(2)[0];
const kOperators = 3, kOutputs = 2, kTensors = 0;  // fields of a subgraph

// The same model, cut after `operators`, that gives `tensor` alone.
const cut = (bytes, operators, tensor) => {
  const copy = Buffer.from(bytes), main = main_of(copy);
  const list = main.vector(kOperators), outputs = main.vector(kOutputs);
  main.view.setUint32(list.at - 4, operators, true);
  main.view.setInt32(outputs.at, tensor, true);
  main.view.setUint32(outputs.at - 4, 1, true);
  return copy;
};

// What DEQUANTIZE makes of a constant in half floats.
const halves = (bytes, tensor) => {
  const main = main_of(bytes), tensors = main.tables(kTensors);
  const maker = main.tables(kOperators).find((op) => op.integers(2)[0] === tensor);
  const stored = tensors[maker.integers(1)[0]], {at, size} = root_of(bytes).tables(4)[stored.scalar(2)].vector(0);
  const data = Float32Array.from({length: size / 2}, (_, i) => {
    const half = main.view.getUint16(at + 2 * i, true), exponent = half >> 10 & 31, fraction = half & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    return half & 0x8000 ? -size : size;
  });
  return {dims: stored.integers(0), data};
};

// image [1, h, w, c], weights [out, kh, kw, c]: pixel (y, x) adds its products at (y sy - py, x sx - px) and on.
const transposed_convolution = (image, weights, bias, strides, same) => {
  const [, h, w, c] = image.dims, [out, kh, kw] = weights.dims;
  const size = [[h, kh, strides[0]], [w, kw, strides[1]]].map(([n, k, s]) => same ? n * s : (n - 1) * s + k);
  const pad = [[h, kh, 0], [w, kw, 1]].map(
      ([n, k, axis]) => Math.floor(Math.max((n - 1) * strides[axis] + k - size[axis], 0) / 2));
  const sums = new Float64Array(size[0] * size[1] * out);
  sums.forEach((_, i) => sums[i] = bias.data[i % out]);
  for (let y = 0; y < h; ++y) for (let x = 0; x < w; ++x) for (let o = 0; o < out; ++o)
    for (let ky = 0; ky < kh; ++ky) for (let kx = 0; kx < kw; ++kx) {
      const v = y * strides[0] - pad[0] + ky, u = x * strides[1] - pad[1] + kx;
      if (v < 0 || u < 0 || v >= size[0] || u >= size[1]) continue;
      let sum = 0;
      for (let i = 0; i < c; ++i)
        sum += image.data[(y * w + x) * c + i] * weights.data[((o * kh + ky) * kw + kx) * c + i];
      sums[(v * size[1] + u) * out + o] += sum;
    }
  return {dims: [1, ...size, out], data: sums};
};

const kCustom = 32, kLogistic = 14;

export const open_tflite = async (modules) => {
  const folder = join(modules, '@tensorflow/tfjs-tflite/wasm'), require = createRequire(join(folder, 'x.js'));
  const factory = require('./tflite_web_api_cc.js');
  const module = await factory({wasmBinary: readFileSync(join(folder, 'tflite_web_api_cc.wasm')), print: () => {},
    printErr: (line) => { if (!line.startsWith('INFO')) console.error(line); }});
  const list = (vector) => Array.from({length: vector.size()}, (_, i) => vector.get(i));
  const dims_of = (info) => info.shape.split(',').map(Number);
  const copy = (info) => ({name: info.name, dims: dims_of(info), data: Float32Array.from(info.data())});

  const interpret = (bytes, fill) => {
    const at = module._malloc(bytes.length);
    module.HEAPU8.set(bytes, at);
    const made = module.TFLiteWebModelRunner.CreateFromBufferAndOptions(at, bytes.length,
        {numThreads: 1, enableWebNNDelegate: false, webNNDeviceType: 0, enableProfiling: false,
          maxProfilingBufferEntries: 0});
    if (!made.ok()) throw new Error(made.errorMessage());
    const runner = made.value(), infos = list(runner.GetInputs());
    for (const info of infos) {
      if (info.dataType !== 'float32') throw new Error(`${info.name}: ${info.dataType}`);
      info.data().set(fill(info.name, dims_of(info)));
    }
    const inputs = infos.map(copy);
    if (!runner.Infer()) throw new Error('the interpreter failed');
    const outputs = list(runner.GetOutputs()).map(copy);
    runner.delete();
    module._free(at);
    return {inputs, outputs};
  };

  // image -> transposed convolution -> sigmoid, at the end of the model
  const run_segmenter = (bytes, fill, codes) => {
    const main = main_of(bytes), operators = main.tables(kOperators);
    const code = (op) => codes[op.scalar(0)];
    const last = operators.length - 1, custom = operators[last - 1];
    if (code(custom)?.name !== 'Convolution2DTransposeBias' || code(operators[last]).builtin !== kLogistic)
      throw new Error('a custom op in another place');
    const [before, weights, bias] = custom.integers(1);
    const {inputs, outputs: [image]} = interpret(cut(bytes, last - 1, before), fill);
    const options = custom.vector(5), option = (i) => main.view.getInt32(options.at + 4 * i, true);
    const {dims, data} = transposed_convolution(image, halves(bytes, weights), halves(bytes, bias),
        [option(2), option(1)], option(0) === 1);
    const output = main.tables(kTensors)[main.integers(kOutputs)[0]];
    const shares = Float32Array.from(data, (v) => 1 / (1 + Math.exp(-v)));
    return {inputs, outputs: [{name: output.text(3), dims, data: shares}]};
  };

  return {run: (bytes, fill) => {
    const codes = root_of(bytes).tables(1).map((code) => {
      const old = code.field(0) ? code.view.getInt8(code.field(0)) : 0;
      return {builtin: Math.max(old, code.scalar(3)), name: code.text(1)};
    });
    return codes.some(({builtin}) => builtin === kCustom) ? run_segmenter(bytes, fill, codes) : interpret(bytes, fill);
  }};
};
