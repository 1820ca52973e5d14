import org.gradle.process.ExecOperations
import javax.inject.Inject

plugins {
    alias(libs.plugins.android.library)
    alias(libs.plugins.kotlin.android)
    `maven-publish`
}

group = "dev.pocketlens"
// Of Cargo.toml, where the version stands.
version = file("../../Cargo.toml").readLines().first { it.startsWith("version = ") }.substringAfter('"').substringBefore('"')

/** The processors of phones, as Android and as Rust call them. */
val processors = listOf("arm64-v8a", "armeabi-v7a", "x86_64")

android {
    namespace = "dev.pocketlens"
    compileSdk = 35
    defaultConfig {
        minSdk = 26
        ndk { abiFilters += processors }
        consumerProguardFiles("consumer-rules.pro")
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    // Uncompressed in the app, so that they are mapped and not unpacked: what 16-KB pages ask for.
    packaging { jniLibs { useLegacyPackaging = false } }
    publishing {
        singleVariant("release") { withSourcesJar() }
    }
}

kotlin {
    compilerOptions { jvmTarget = org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_17 }
}

dependencies {
    api(libs.coroutines.core)
    // With the library that JNA itself is made of, for each processor.
    implementation(libs.jna) { artifact { type = "aar" } }
}

/** Builds the Rust library for every processor: `cargo install cargo-ndk`, an NDK in `ANDROID_NDK_HOME`. */
abstract class CargoNdk @Inject constructor(private val processes: ExecOperations) : DefaultTask() {
    /** The Cargo workspace. */
    @get:Internal
    abstract val workspace: DirectoryProperty

    /** Names of Android for processors. */
    @get:Input
    abstract val abis: ListProperty<String>

    /** Optional parts of the library: `webp` (Android decodes WebP itself), `nnapi` (accelerators), `embedded` (a bundle inside). */
    @get:Input
    abstract val features: ListProperty<String>

    /** A folder for each processor. */
    @get:OutputDirectory
    abstract val libraries: DirectoryProperty

    init {
        // Cargo knows best whether there is something to do.
        outputs.upToDateWhen { false }
    }

    @TaskAction
    fun build() {
        val targets = abis.get().flatMap { listOf("-t", it) }
        processes.exec {
            workingDir(workspace)
            commandLine(
                listOf("cargo", "ndk") + targets + listOf("--platform", "26", "-o", libraries.get().asFile.path) +
                    listOf("build", "--locked", "--profile", "release-mobile", "-p", "pocketlens-uniffi", "--no-default-features") +
                    features.get().let { if (it.isEmpty()) it else listOf("--features", it.joinToString(",")) },
            )
        }
    }
}

/** Generates the Kotlin of the interface from a library of this desktop, whose metadata was not stripped. */
abstract class Bindgen @Inject constructor(private val processes: ExecOperations) : DefaultTask() {
    /** The Cargo workspace. */
    @get:Internal
    abstract val workspace: DirectoryProperty

    /** Where the package begins. */
    @get:OutputDirectory
    abstract val sources: DirectoryProperty

    init {
        outputs.upToDateWhen { false }
    }

    @TaskAction
    fun generate() {
        processes.exec {
            workingDir(workspace)
            commandLine("cargo", "build", "--locked", "-p", "pocketlens-uniffi")
        }
        val target = System.getenv("CARGO_TARGET_DIR") ?: "target"
        val library = System.mapLibraryName("pocketlens_ffi")
        processes.exec {
            workingDir(workspace)
            commandLine(
                "cargo", "run", "--locked", "-p", "pocketlens-bindgen", "--", "generate", "$target/debug/$library",
                "--language", "kotlin", "--no-format", "--out-dir", sources.get().asFile.path,
            )
        }
    }
}

val cargoNdk = tasks.register<CargoNdk>("cargoNdk") {
    workspace = rootProject.layout.projectDirectory.dir("..")
    abis = processors
    // gradle -Ppocketlens.features=webp,nnapi …
    features = providers.gradleProperty("pocketlens.features").map { it.split(",") }.orElse(emptyList())
}

val bindgen = tasks.register<Bindgen>("bindgen") {
    workspace = rootProject.layout.projectDirectory.dir("..")
}

androidComponents.onVariants { variant ->
    variant.sources.jniLibs?.addGeneratedSourceDirectory(cargoNdk, CargoNdk::libraries)
    // Kotlin is compiled from folders of Java, too.
    variant.sources.java?.addGeneratedSourceDirectory(bindgen, Bindgen::sources)
}

publishing {
    publications {
        register<MavenPublication>("release") {
            artifactId = "pocketlens-android"
            afterEvaluate { from(components["release"]) }
            pom {
                name = "Pocketlens"
                description = "Visual search on the device: a photo in, the matching products or places out, offline"
                licenses {
                    license { name = "MIT" }
                    license { name = "Apache-2.0" }
                }
            }
        }
    }
    // `./gradlew publish` fills a folder that any web server can serve, or that an app includes.
    repositories { maven { name = "folder"; url = uri(rootProject.layout.projectDirectory.dir("../target/maven")) } }
}
