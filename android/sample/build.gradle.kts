plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "dev.pocketlens.sample"
    compileSdk = 35
    defaultConfig {
        applicationId = "dev.pocketlens.sample"
        minSdk = 26
        targetSdk = 35
        versionCode = 1
        versionName = file("../../Cargo.toml").readLines().first { it.startsWith("version = ") }.substringAfter('"').substringBefore('"')
    }
    buildTypes {
        release {
            // Shrunk, so that the library's consumer rules are tried; signed with the debug key: a sample.
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            signingConfig = signingConfigs.getByName("debug")
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    sourceSets["main"].apply {
        // Apart from the rest, which is compiled and tested without a phone, too.
        kotlin.srcDir("src/camerax/kotlin")
        // `assets` is where shop.plx and city.plx are put; it is not in the repository.
        assets.srcDirs("assets", layout.buildDirectory.dir("golden"))
    }
}

kotlin {
    compilerOptions { jvmTarget = org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_17 }
}

dependencies {
    implementation(project(":pocketlens"))
    implementation(libs.camera.camera2)
    implementation(libs.camera.lifecycle)
    implementation(libs.camera.view)
}

/** What the self-test compares with. */
val golden = tasks.register<Copy>("golden") {
    from(rootProject.layout.projectDirectory.file("../tests/golden/default.json"))
    into(layout.buildDirectory.dir("golden"))
    rename { "golden.json" }
}
tasks.named("preBuild") { dependsOn(golden) }
