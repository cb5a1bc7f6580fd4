// Drives the engine at argv[2] (a socket) as Node.js programs do; ends with 0 if all is as it should.
"use strict";
const assert = require("node:assert");
const { PassThrough } = require("node:stream");
const Docker = require("dockerode");

const docker = new Docker({ socketPath: process.argv[2] });

function collect() {
  const stream = new PassThrough();
  stream.text = "";
  stream.on("data", (data) => (stream.text += data));
  return stream;
}

async function runs() {
  const [out, err] = [collect(), collect()];
  const [result] = await docker.run("busybox", ["sh", "-c", "echo out; echo err >&2; exit 3"], [out, err], {
    Tty: false,
  });
  assert.deepEqual([result.StatusCode, out.text, err.text], [3, "out\n", "err\n"]);
}

async function executes() {
  const container = await docker.createContainer({
    Image: "busybox",
    Cmd: ["sleep", "1000"],
    HostConfig: { Binds: ["data:/data"] },
  });
  await container.start();
  const exec = await container.exec({ Cmd: ["cat"], AttachStdin: true, AttachStdout: true });
  const stream = await exec.start({ hijack: true, stdin: true });
  const out = collect();
  docker.modem.demuxStream(stream, out, out);
  stream.end("through exec\n");
  await new Promise((resolve) => stream.on("end", resolve));
  assert.equal(out.text, "through exec\n");
  assert.equal((await exec.inspect()).ExitCode, 0);
  await assert.rejects(docker.getVolume("data").remove(), { statusCode: 409 });
  await container.remove({ force: true });
  await docker.getVolume("data").remove();
}

async function lists() {
  assert.ok((await docker.listImages()).some((image) => (image.RepoTags || []).includes("busybox:latest")));
  assert.deepEqual(await docker.listContainers({ filters: { name: ["nothing-so-named"] } }), []);
  await assert.rejects(docker.getContainer("nobody").inspect(), { statusCode: 404 });
}

(async () => {
  assert.equal((await docker.ping()).toString(), "OK");
  await runs();
  await executes();
  await lists();
  console.log("as expected");
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
