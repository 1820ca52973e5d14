// The model is `Bundle` in Rust, Kotlin and Python. Every Swift file that imports Foundation has another `Bundle`, so here
// it is `ModelBundle`: `bindings/uniffi/uniffi.toml` says so. UniFFI 0.32 keeps the old name where a constructor returns
// the type; these stand for it.

extension ModelBundle {
    /// The type itself, as its generated constructors call it.
    public typealias Bundle = ModelBundle
}

func FfiConverterTypeBundle_lift(_ handle: UInt64) throws -> ModelBundle {
    try FfiConverterTypeModelBundle_lift(handle)
}
