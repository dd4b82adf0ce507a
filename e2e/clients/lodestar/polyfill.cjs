// Lodestar's dependencies call what Node 20 does not have.
Promise.withResolvers ??= function withResolvers() {
    let resolve;
    let reject;
    const promise = new this((yes, no) => {
        resolve = yes;
        reject = no;
    });
    return { promise, resolve, reject };
};
