// swift-tools-version: 6.0
// Pocketlens for Swift. `./generate` puts the generated interface in its place; on Apple's platforms
// `./build-xcframework` makes the library. On Linux the library is named to the linker: see `./test`.
import PackageDescription

/// Where a published package finds the library; nil: the one that `./build-xcframework` made here.
let published: (url: String, checksum: String)? = nil

#if os(Linux)
let library: Target = .systemLibrary(name: "pocketlens_ffiFFI", path: "Generated/pocketlens_ffiFFI")
#else
let library: Target =
    if let published {
        .binaryTarget(name: "pocketlens_ffiFFI", url: published.url, checksum: published.checksum)
    } else {
        .binaryTarget(name: "pocketlens_ffiFFI", path: "Generated/PocketlensFFI.xcframework")
    }
#endif

// On Linux, stand-ins for Apple's frameworks: `./test` compiles the adapters of pixel buffers and runs their tests.
#if os(Linux)
let standIns = Context.environment["POCKETLENS_STAND_INS"] == nil ? [] : ["CoreVideo", "CoreMedia"]
#else
let standIns: [String] = []
#endif

/// What is compiled and tested here and not published.
let development: [Target] = [
    // What the sample app does without Apple's frameworks.
    .target(name: "SampleLogic", dependencies: ["Pocketlens"], path: "Sample/Logic"),
    .testTarget(name: "PocketlensTests", dependencies: ["Pocketlens", "SampleLogic"]),
] + standIns.map { name in
    .target(name: name, dependencies: name == "CoreMedia" ? ["CoreVideo"] : [], path: "Tests/StandIns/\(name)")
}

let package = Package(
    name: "Pocketlens",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Pocketlens", targets: ["Pocketlens"])],
    targets: [
        library,
        .target(
            name: "Pocketlens",
            dependencies: ["pocketlens_ffiFFI"] + standIns.map { .target(name: $0) },
            linkerSettings: [.linkedLibrary("pocketlens_ffi", .when(platforms: [.linux]))]
        ),
    ] + (published == nil ? development : []),
    swiftLanguageModes: [.v6]
)
