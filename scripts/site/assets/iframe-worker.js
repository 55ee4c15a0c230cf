// Browsers start no worker from a page that was opened from a disk, and search runs in one. So there the script runs in
// an empty frame instead: the same messages go to and fro, only on the page's own thread.
if (location.protocol === "file:") {
  window.Worker = class FrameWorker extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      const inside = frame.contentWindow;
      const tell = (type, data) => {
        const event = new MessageEvent(type, { data });
        this.dispatchEvent(event);
        const handler = this["on" + type];
        if (handler) handler.call(this, event);
      };
      // within the script: what it posts comes out here, and what it imports is loaded as scripts of the frame
      inside.postMessage = (data) => setTimeout(() => tell("message", data));
      inside.importScripts = (...paths) =>
        Promise.all(paths.map((path) => load(inside, new URL(path, url).href)));
      this.ready = load(inside, url).catch(() => tell("error", `${url} was not loaded`));
      this.inside = inside;
      this.frame = frame;
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };

  const load = (inside, path) =>
    new Promise((resolve, reject) => {
      const script = inside.document.createElement("script");
      script.src = path;
      script.onload = resolve;
      script.onerror = reject;
      inside.document.body.appendChild(script);
    });
}
