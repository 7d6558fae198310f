// A cloud of points drawn with WebGL: position, colour by a table of 256 entries, and what is not chosen fades.
const VERTEX = `#version 300 es
in vec2 place; in float value; in float chosen;
uniform vec2 scale; uniform vec2 shift; uniform float size; uniform float fading; uniform sampler2D table;
out vec4 tint;
void main() {
  gl_Position = vec4(place * scale + shift, 0.0, 1.0);
  gl_PointSize = size;
  tint = texelFetch(table, ivec2(int(value * 255.0 + 0.5), 0), 0);
  if (fading > 0.5 && chosen < 0.5) tint.a *= 0.12;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 tint; out vec4 colour;
void main() {
  vec2 d = gl_PointCoord - 0.5;
  if (dot(d, d) > 0.25) discard;
  colour = vec4(tint.rgb * tint.a, tint.a);
}`;

// While a large map moves, an even part of its cells is drawn, each of them larger; all follow when it rests.
const MOVING = 40000;
const partOf = (order) => { const step = Math.ceil(order.length / MOVING); return step > 1 ? order.filter((_, i) => i % step === 0) : order; };

// Without WebGL 2 (an old browser, a blocked driver) the same is drawn point by point.
function plainCloud(canvas) {
  const context = canvas.getContext("2d");
  let places = new Uint16Array(0); let values = new Uint8Array(0); let chosen = null; let table = new Uint8Array(1024); let order = []; let part = [];
  return {
    webgl: false,
    points(data) { places = data; },
    colours(data, lut, drawn) { values = data; table = lut; order = drawn; part = partOf(drawn); },
    choose(flags) { chosen = flags; },
    draw(view, size, moving = false) {
      const { width, height } = canvas;
      const picture = context.createImageData(width, height);
      const pixels = new Uint32Array(picture.data.buffer);
      const colours = new Uint32Array(table.buffer, table.byteOffset, 256);
      const shown = moving ? part : order;
      const edge = Math.max(1, Math.round(size * Math.sqrt(order.length / Math.max(shown.length, 1))));
      for (const i of shown) {
        if (chosen && !chosen[i]) continue;
        const x = Math.round(((places[2 * i] / 65535) * view.scale[0] + view.shift[0] + 1) * width / 2 - edge / 2);
        const y = Math.round((1 - (places[2 * i + 1] / 65535) * view.scale[1] - view.shift[1]) * height / 2 - edge / 2);
        for (let dy = 0; dy < edge; dy++) {
          for (let dx = 0; dx < edge; dx++) {
            const [px, py] = [x + dx, y + dy];
            if (px >= 0 && py >= 0 && px < width && py < height) pixels[py * width + px] = colours[values[i]];
          }
        }
      }
      context.putImageData(picture, 0, 0);
    },
  };
}

function makeCloud(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: true });
  if (!gl) return plainCloud(canvas);
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  const at = (name) => gl.getUniformLocation(program, name);
  const uniforms = Object.fromEntries(["scale", "shift", "size", "fading"].map((name) => [name, at(name)]));
  const buffers = {};
  function fill(name, data, width, kind) {
    buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    const place = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, width, kind, true, 0, 0);
  }
  const table = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, table);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  const indices = { all: gl.createBuffer(), part: gl.createBuffer() };
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const count = { all: 0, part: 0 }; let fading = 0;
  return {
    webgl: true,
    points(data) {
      fill("place", data, 2, gl.UNSIGNED_SHORT);
      fill("chosen", new Uint8Array(data.length / 2), 1, gl.UNSIGNED_BYTE);
    },
    colours(data, lut, order) {
      fill("value", data, 1, gl.UNSIGNED_BYTE);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, lut);
      for (const [name, list] of [["all", order], ["part", partOf(order)]]) {
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, indices[name]);
        gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, list, gl.STATIC_DRAW);
        count[name] = list.length;
      }
    },
    choose(flags) {
      fading = flags ? 1 : 0;
      if (flags) fill("chosen", flags.map((flag) => flag * 255), 1, gl.UNSIGNED_BYTE);
    },
    draw(view, size, moving = false) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      if (!count.all) return;
      const name = moving ? "part" : "all";
      gl.uniform2fv(uniforms.scale, view.scale);
      gl.uniform2fv(uniforms.shift, view.shift);
      gl.uniform1f(uniforms.size, size * Math.sqrt(count.all / count[name]));
      gl.uniform1f(uniforms.fading, fading);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, indices[name]);
      gl.drawElements(gl.POINTS, count[name], gl.UNSIGNED_INT, 0);
    },
  };
}
